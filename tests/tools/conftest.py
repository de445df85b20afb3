"""A finished session with all exports, and the tools that users open it with."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from lib.simulate import simulate_session
from tests.bench.peers import interpreter

REPOSITORY = Path(__file__).parents[2]
NAMES = ["a", "b", "c"]
FRAMES = 100
SHAPE = (112, 128)


def call(*command, cwd: Path, **environment: str) -> str:
    """Run a command and return what it prints; what it printed is shown if it fails."""
    done = subprocess.run(
        list(map(str, command)),
        cwd=cwd,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=os.environ | environment,
        timeout=1200,
    )
    assert done.returncode == 0, done.stdout
    return done.stdout


def snakemake(folder: Path, *arguments: str) -> str:
    start = (sys.executable, "-m", "snakemake", "-s", REPOSITORY / "Snakefile", "--configfile", "session.yaml")
    return call(*start, "--cores", "2", *arguments, cwd=folder, PYTHONUTF8="1")


@pytest.fixture(scope="session")
def finished(tmp_path_factory) -> Path:
    """A finished session; not to be changed."""
    folder = tmp_path_factory.mktemp("tools") / "session"
    simulate_session(folder, names=NAMES, frames=FRAMES, shape=SHAPE, between_rigid=2.0)
    settings = {"root": ".", "flow_options": {"quality_setting": "fast", "alpha": 10}, "export": {"frame_rate": 30}}
    (folder / "session.yaml").write_text(yaml.safe_dump(settings), "utf-8")
    snakemake(folder)
    return folder


@pytest.fixture
def session(finished, tmp_path) -> Path:
    """A copy of the finished session, to be changed."""
    return Path(shutil.copytree(finished, tmp_path / "session"))


@pytest.fixture(scope="session")
def octave() -> str:
    found = shutil.which("octave-cli")
    assert found, "GNU Octave is not installed; on Debian and Ubuntu: apt-get install octave"
    return found


@pytest.fixture(scope="session")
def pyflowreg() -> Path:
    """The command `pyflowreg-session`."""
    return interpreter("pyflowreg", {}).with_name("pyflowreg-session")


@pytest.fixture(scope="session")
def suite2p() -> Path:
    """The Python that has suite2p 1.x."""
    return interpreter("suite2p", {})
