"""Real schedulers and a small session for them. Run by `make test-cluster`; plain pytest leaves these tests out."""

import hashlib
import os
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
import yaml

from lib.simulate import simulate_session

from .grid_engine import GridEngine
from .pbs_pro import PbsPro
from .run import ClusterRun, command
from .scheduler import Scheduler
from .slurm import Slurm
from .torque import Torque

HERE = Path(__file__).parent
NAMES = ["a_memory", "b_time", "c_cancel", "d_plain"]
FRAMES = 240
SCHEDULERS = {scheduler.name: scheduler for scheduler in (Slurm, Torque, PbsPro, GridEngine)}


def pytest_addoption(parser):
    parser.addoption("--scheduler", action="append", choices=list(SCHEDULERS), help="test this one, not all of them")


def pytest_generate_tests(metafunc):
    if "scheduler" in metafunc.fixturenames:
        names = metafunc.config.getoption("scheduler", None) or list(SCHEDULERS)
        metafunc.parametrize("scheduler", names, indirect=True, scope="session")


def pytest_configure(config):
    config.addinivalue_line("markers", "only(names): what all schedulers have in common is tested with these alone")


def pytest_collection_modifyitems(config, items):
    for item in [item for item in items if HERE in item.path.parents]:
        item.add_marker(pytest.mark.cluster)
        only = item.get_closest_marker("only")
        if only and item.callspec.params["scheduler"] not in only.args:
            items.remove(item)
            config.hook.pytest_deselected(items=[item])


@pytest.fixture(scope="session")
def state() -> Path:
    """Where schedulers keep their files."""
    if "FLOWSESSION_CLUSTER" not in os.environ:
        pytest.exit("tests/cluster sets up real schedulers in namespaces of their own: `make test-cluster`.", 2)
    return Path(os.environ["FLOWSESSION_CLUSTER"])


@pytest.fixture(scope="session")
def scheduler(request, state) -> Scheduler:
    """One of the schedulers, up and running."""
    with SCHEDULERS[request.param](state) as scheduler:
        print(f"\n{scheduler.name}: {scheduler.version()}")
        yield scheduler


@pytest.fixture(scope="session")
def recordings(tmp_path_factory) -> Path:
    """A session folder with recordings and settings, nothing computed."""
    folder = tmp_path_factory.mktemp("recordings")
    simulate_session(folder, names=NAMES, frames=FRAMES, shape=(96, 96), between_rigid=2.0)
    shutil.rmtree(folder / "truth")
    options = {"quality_setting": "fast", "alpha": 10, "buffer_size": 2, "reference_frames": "0:20"}
    (folder / "session.yaml").write_text(yaml.safe_dump({"root": ".", "flow_options": options}))
    return folder


@pytest.fixture(autouse=True)
def nothing_left():
    """No run of a test goes on into the next one."""
    yield
    while ClusterRun.running:
        process = ClusterRun.running.pop()
        process.kill()
        process.wait()


@pytest.fixture
def fresh(recordings, tmp_path) -> Path:
    """A copy of the session of which nothing is computed."""
    return Path(shutil.copytree(recordings, tmp_path / "session"))


@pytest.fixture(scope="session")
def local(recordings, tmp_path_factory) -> dict[str, str]:
    """The digests of the results of a run on this machine."""
    folder = Path(shutil.copytree(recordings, tmp_path_factory.mktemp("local") / "session"))
    subprocess.run([*command("--cores", "2"), "--quiet", "all"], cwd=folder, check=True)
    return digests(folder)


def digests(folder: Path) -> dict[str, str]:
    """What is in the result files. Left out are times (status.json, the report's pages), and where the session is."""
    found = {}
    for path in sorted((folder / "compensated_outputs").rglob("*")) + sorted((folder / "final_results").rglob("*")):
        name = str(path.relative_to(folder))
        if not path.is_file() or path.name.startswith(".") or path.name in ("status.json", "session_summary.csv"):
            continue
        if path.name == "final_valid_idx.npz":
            with np.load(path) as arrays:
                for key in arrays.files:
                    if not key.endswith("_paths"):
                        found[f"{name}:{key}"] = hashlib.sha256(arrays[key].tobytes()).hexdigest()
        elif path.suffix not in (".mat", ".html"):  # a mat file holds the same arrays
            found[name] = hashlib.sha256(path.read_bytes()).hexdigest()
    return found
