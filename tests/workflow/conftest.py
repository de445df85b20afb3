"""Real Snakemake on tiny simulated sessions. One session is finished once and copied for every test that needs it."""

import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

from lib.simulate import simulate_session

REPOSITORY = Path(__file__).parents[2]
NAMES = ["a_1", "b ü 2", "c_3"]
SHAPE = (64, 72)
FRAMES = 16


@dataclass
class Run:
    """A finished call of Snakemake."""

    returncode: int
    output: str

    @property
    def jobs(self) -> set[tuple[str, str]]:
        """(rule, recording or "") of all jobs that were run, or in a dry run would be; without the target rule."""
        found = re.findall(r"^(?:local)?(?:rule|checkpoint) (\w+):\n((?:    .*\n)*)", self.output, re.MULTILINE)
        recordings = [(rule, re.search(r"wildcards: recording=(.*)", text)) for rule, text in found]
        return {(rule, match[1] if match else "") for rule, match in recordings if rule != "all"}

    @property
    def nothing_to_do(self) -> bool:
        return self.returncode == 0 and "Nothing to be done" in self.output


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "snakemake", "-s", str(REPOSITORY / "Snakefile"), *arguments]


def snakemake(folder: Path, *arguments: str, config: tuple[str, ...] = ()) -> Run:
    """Run the workflow in a session folder with its own `session.yaml`."""
    done = subprocess.run(
        command("--configfile", "session.yaml", "--cores", "2", *arguments, *(["--config", *config] if config else [])),
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=os.environ | {"PYTHONUTF8": "1"},
        timeout=300,
    )
    return Run(done.returncode, done.stdout)


def of(*rules: str, names=NAMES) -> set[tuple[str, str]]:
    """The jobs of these rules for recordings, as in `Run.jobs`."""
    return {(rule, name) for rule in rules for name in names}


def write_config(folder: Path, **settings) -> None:
    (folder / "session.yaml").write_text(yaml.safe_dump({"root": "."} | settings, allow_unicode=True), "utf-8")


@pytest.fixture(scope="session")
def recordings(tmp_path_factory) -> Path:
    """A session folder with recordings and settings, nothing computed."""
    folder = tmp_path_factory.mktemp("recordings")
    simulate_session(folder, names=NAMES, frames=FRAMES, shape=SHAPE, between_rigid=2.0)
    write_config(folder, flow_options={"quality_setting": "fast"})
    return folder


@pytest.fixture(scope="session")
def finished(recordings, tmp_path_factory) -> Path:
    """A finished session; not to be changed."""
    folder = tmp_path_factory.mktemp("finished") / "session"
    shutil.copytree(recordings, folder)
    run = snakemake(folder)
    assert run.returncode == 0, run.output
    return folder


@pytest.fixture
def session(finished, tmp_path) -> Path:
    """A copy of the finished session, to be changed."""
    return Path(shutil.copytree(finished, tmp_path / "session"))


@pytest.fixture
def fresh(recordings, tmp_path) -> Path:
    """A copy of the session of which nothing is computed."""
    return Path(shutil.copytree(recordings, tmp_path / "session"))
