"""What jobs wrote is remembered, and damage to it is noticed."""

import json
import os

import numpy as np
import pytest

from lib.status import begin, mark_damage, record, stamp, trust


@pytest.fixture
def folder(tmp_path):
    """A folder in which one rule wrote two files, and another rule one."""
    folder = tmp_path / "rec ü"
    folder.mkdir()
    np.save(folder / "a.npy", np.arange(50))
    np.save(tmp_path / "b.npy", np.arange(60))
    np.save(folder / "c.npy", np.arange(70))
    record(folder, "first", [folder / "a.npy", tmp_path / "b.npy"], stage1="done", frames=5)
    record(folder, "second", [folder / "c.npy"])
    return folder


def mark(folder):
    return mark_damage([str(folder)], folder.parent / "verified.json")


def stamps(folder):
    return {rule for rule in ("first", "second") if os.path.exists(stamp(str(folder), rule))}


def test_status_is_published(folder):
    status = json.loads((folder / "status.json").read_text("utf-8"))
    assert (status["stage1"], status["frames"]) == ("done", 5)
    assert status["files"]["first"]["../b.npy"]["bytes"] == (folder.parent / "b.npy").stat().st_size
    assert set(status["files"]) == {"first", "second"}


def test_status_appears_with_the_first_facts(tmp_path):
    np.save(tmp_path / "a.npy", np.arange(5))
    record(tmp_path, "first", [tmp_path / "a.npy"])
    assert not (tmp_path / "status.json").exists()
    record(tmp_path, "second", [], done=True)
    assert set(json.loads((tmp_path / "status.json").read_text())["files"]) == {"first", "second"}


def test_deleted_status_loses_nothing(folder):
    """Snakemake deletes status.json before its rule runs again; what other rules wrote must stay known."""
    (folder / "status.json").unlink()
    record(folder, "first", [folder / "a.npy"], stage1="done")
    assert set(json.loads((folder / "status.json").read_text("utf-8"))["files"]) == {"first", "second"}


def test_nothing_damaged(folder):
    assert mark(folder) == [] and stamps(folder) == set()


def test_truncated_file_is_named_and_its_rule_stamped(folder):
    os.truncate(folder.parent / "b.npy", 100)
    (found,) = mark(folder)
    assert found == f"{folder.parent / 'b.npy'} has 100 bytes, 608 were written; first must run again."
    assert stamps(folder) == {"first"}


def test_same_damage_again_gives_another_stamp(folder):
    contents = set()
    for _ in range(2):
        os.truncate(folder / "c.npy", 100)
        mark(folder)
        with open(stamp(str(folder), "second")) as file:
            contents.add(file.read())
    assert len(contents) == 2


def test_missing_file_is_left_to_snakemake(folder):
    (folder / "a.npy").unlink()
    assert mark(folder) == [] and stamps(folder) == set()


def test_damage_without_a_change_of_size(folder):
    path = folder / "c.npy"
    path.write_bytes(b"\0" * path.stat().st_size)
    (found,) = mark(folder)
    assert "c.npy cannot be read" in found and stamps(folder) == {"second"}


def test_sound_file_with_another_time_is_opened_once(folder, monkeypatch):
    os.utime(folder / "c.npy", (1, 1))
    opened = []
    monkeypatch.setattr("lib.store.verify", lambda path: opened.append(path))
    assert mark(folder) == [] == mark(folder)
    assert opened == [str(folder / "c.npy")]


def test_what_was_just_written_is_trusted(folder, monkeypatch):
    os.utime(folder / "a.npy", (2**31, 2**31))  # Snakemake touches outputs when their job has finished
    os.truncate(folder / "c.npy", 100)
    trust([str(folder)], folder.parent / "verified.json", since_ns=0)
    monkeypatch.setattr("lib.store.verify", lambda path: pytest.fail(f"{path} was opened"))
    (found,) = mark(folder)
    assert "c.npy" in found


def test_what_is_older_is_not_trusted(folder):
    path = folder / "c.npy"
    path.write_bytes(b"\0" * path.stat().st_size)
    trust([str(folder)], folder.parent / "verified.json", since_ns=2**63)
    assert "c.npy" in mark(folder)[0]


def test_files_in_the_making_are_not_damaged(folder):
    begin(folder, "first")
    (folder / "a.npy").write_bytes(b"half")
    assert mark(folder) == []
    record(folder, "first", [folder / "a.npy"])
    os.truncate(folder / "a.npy", 1)
    assert "a.npy" in mark(folder)[0]


@pytest.mark.parametrize("name", ["status.json", ".status.json"])
def test_damaged_status_is_replaced_by_its_copy(folder, name):
    whole = (folder / "status.json").read_text("utf-8")
    (folder / name).write_text(whole[:20])
    assert mark(folder) == []
    assert (folder / "status.json").read_text("utf-8") == whole
    os.truncate(folder / "a.npy", 1)
    assert "a.npy" in mark(folder)[0]
