"""The session as jobs get it from the main process."""

from dataclasses import replace

import yaml

from lib.config import load
from lib.handover import hand_over, take_over
from lib.session import open_session
from lib.simulate import simulate_session

from ..workflow.conftest import REPOSITORY

CONFIG = "{{root: '{}', center: rec_2, export: {{session_start_time: 2026-05-17T09:30:00+02:00}}}}"


def opened(folder, config):
    settings = load(config, REPOSITORY / "config" / "session.schema.json")
    return settings, open_session(settings)


def test_jobs_get_the_session_as_it_was_found(tmp_path):
    simulate_session(tmp_path, names=["rec_1", "rec_2", "rec_3"], frames=3, shape=(40, 44))
    config = yaml.safe_load(CONFIG.format(tmp_path))
    config["export"]["session_start_time"] = config["export"]["session_start_time"].isoformat()
    settings, session = opened(tmp_path, config)
    path = tmp_path / "state" / "session.json"
    hand_over(config, settings, session, path)
    before = path.stat().st_mtime_ns
    hand_over(config, settings, session, path)
    assert path.stat().st_mtime_ns == before  # written only if something is new

    found = tuple(replace(recording, header=None) for recording in session.recordings)
    assert take_over(config, path) == (settings, replace(session, recordings=found))
    assert session.recordings[0].header is not None


def test_what_another_run_found_is_not_taken(tmp_path):
    simulate_session(tmp_path, names=["rec_1"], frames=3, shape=(40, 44))
    config, path = {"root": str(tmp_path)}, tmp_path / "session.json"
    assert take_over(config, path) is None
    hand_over(config, *opened(tmp_path, config), path)
    assert take_over(config | {"center": "rec_1"}, path) is None
    path.write_text(path.read_text()[:100])
    assert take_over(config, path) is None
