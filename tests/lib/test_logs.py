"""A job's log holds everything; the terminal gets the reason of a failure."""

import logging
import os
import warnings

import pytest

from lib.logs import failure_report, job_log


def test_records_and_warnings_go_to_the_file(tmp_path):
    path = tmp_path / "job.log"
    with job_log(str(path)):
        logging.getLogger("lib.some").info("grün")
        warnings.warn("careful", stacklevel=1)
    logging.getLogger("lib.some").info("later")
    text = path.read_text("utf-8")
    assert "INFO lib.some: grün" in text and "careful" in text and "later" not in text


def test_exception(tmp_path, capsys):
    path = tmp_path / "job.log"
    with pytest.raises(SystemExit) as ended, job_log(str(path)):
        raise ValueError("frame 11 holds NaN")
    assert ended.value.code == 1
    assert "Traceback" in path.read_text("utf-8") and "frame 11 holds NaN" in path.read_text("utf-8")
    shown = capsys.readouterr().err
    assert "ValueError: frame 11 holds NaN" in shown and str(path) in shown and "Traceback" not in shown


def test_failures_are_told_by_the_log_that_came_last(tmp_path):
    logs = [tmp_path / f"{name}.log" for name in ("first", "second", "older")]
    for age, log in enumerate(logs):
        log.write_text("".join(f"line {i} of {log.stem}\n" for i in range(9)))
        os.utime(log, (1000 - age, 1000 - age))
    os.utime(logs[0], (900, 900))
    os.utime(logs[2], (100, 100))
    failed = [
        ("b_2", [("compensate_recording", str(logs[0])), ("average_recording", str(logs[1]))]),
        ("a_1", [("compensate_recording", str(logs[2]))]),  # of another run
        ("", [("select_center", str(tmp_path / "none.log"))]),
    ]
    told = failure_report(failed, 5, since=500).splitlines()
    assert told[0].startswith("2 of 5 recordings failed")
    assert [line.strip().split(":")[0] for line in told if line.startswith("  ") and line[2] != " "] == [
        "the session",
        "a_1",
        "b_2",
    ]
    assert "compensate_recording did not start" in told[2]
    assert told[3].strip().startswith("b_2: average_recording failed") and told[-1].strip() == "line 8 of second"
    assert len(told) == 4 + 5
