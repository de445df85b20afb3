"""A job's log holds everything; the terminal gets the reason of a failure."""

import logging
import warnings

import pytest

from lib.logs import job_log


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
