"""Files in the making on a disk of the node."""

import fcntl

import pytest

from lib.scratch import scratch_folder


def test_variables_are_taken_from_the_job(tmp_path, monkeypatch):
    monkeypatch.setenv("DISK_OF_NODE", str(tmp_path))
    place = scratch_folder("$DISK_OF_NODE", tmp_path / "results/a_1")
    assert place.is_dir() and place.is_relative_to(tmp_path)
    assert scratch_folder("${DISK_OF_NODE}", tmp_path / "results/a_1") == place  # a retry finds it again
    assert scratch_folder("$DISK_OF_NODE", tmp_path / "others/a_1") != place


@pytest.mark.parametrize(
    "setting, said", [("$NO_SUCH_VARIABLE/x", "NO_SUCH_VARIABLE is not set"), ("/no/such/folder", "is no folder")]
)
def test_unusable(tmp_path, setting, said):
    with pytest.raises(OSError, match=said):
        scratch_folder(setting, tmp_path)


def test_leftovers_go_once_they_are_finished_elsewhere(tmp_path):
    places = {}
    for name in ("done", "running", "waiting"):
        results = tmp_path / "results" / name
        results.mkdir(parents=True)
        places[name] = scratch_folder(str(tmp_path), results)
        (places[name] / "compensated.hdf5").write_bytes(b"half of it")
    for name in ("done", "running"):
        (tmp_path / "results" / name / "status.json").write_text("{}")
    with open(places["running"] / "lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        own = scratch_folder(str(tmp_path), tmp_path / "results/new")
    assert sorted(own.parent.iterdir()) == sorted([own, places["running"], places["waiting"]])
