"""Lines of a journal are there as a whole or not at all, and one process at a time writes them."""

import multiprocessing
import os
import resource

import pytest

from lib.journal import Journal, lock, read_journal


def test_what_was_appended_is_read(tmp_path):
    path = tmp_path / "journal.jsonl"
    assert read_journal(path) == ([], 0)
    journal = Journal(path)
    for number in range(3):
        journal.append({"number": number, "name": "Zürich"})
    journal.close()
    entries, length = read_journal(path)
    assert [entry["number"] for entry in entries] == [0, 1, 2]
    assert length == path.stat().st_size


@pytest.mark.parametrize("torn", [b'{"number": 1', b'{"number": 1}', b"\0\0\0\n", b'[1]\n{"number": 1}\n'])
def test_a_torn_line_ends_the_journal_and_the_next_one_takes_its_place(tmp_path, torn):
    path = tmp_path / "journal.jsonl"
    path.write_bytes(b'{"number": 0}\n' + torn)
    entries, length = read_journal(path)
    assert entries == [{"number": 0}]
    journal = Journal(path, length=length)
    journal.append({"number": 2})
    journal.close()
    assert path.read_bytes() == b'{"number": 0}\n{"number": 2}\n'


def test_a_line_without_space_leaves_nothing_behind(tmp_path):
    path = tmp_path / "journal.jsonl"
    journal = Journal(path)
    journal.append({"number": 0})
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (path.stat().st_size + 5, hard))
    try:
        with pytest.raises(OSError, match="journal.jsonl"):
            journal.append({"number": 1})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    journal.append({"number": 2})
    journal.close()
    assert read_journal(path)[0] == [{"number": 0}, {"number": 2}]


def refused(action, *args, **how) -> bool:
    """Whether another process is refused."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        try:
            pool.apply(action, args, how)
        except RuntimeError as error:
            assert "another process is compensating into" in str(error)
            return True
    return False


def test_a_journal_is_held_until_it_is_closed(tmp_path):
    path = tmp_path / "journal.jsonl"
    journal = Journal(path, alone=True)
    journal.append({"number": 0})
    assert refused(open_alone, path)
    assert read_journal(path)[0] == [{"number": 0}]  # who is refused cuts nothing off
    journal.close()
    assert not refused(open_alone, path)


def open_alone(path):
    Journal(path, alone=True).close()


@pytest.mark.parametrize("mine, theirs, kept_out", [(False, True, True), (True, False, True), (True, True, False)])
def test_those_that_share_a_lock_let_each_other_in(tmp_path, mine, theirs, kept_out):
    held = lock(tmp_path / "lock", shared=mine)
    assert refused(lock, tmp_path / "lock", shared=theirs) is kept_out
    os.close(held)
    assert not refused(lock, tmp_path / "lock", shared=theirs)
