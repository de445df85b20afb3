"""What the main process found out about a session, handed to its jobs so that they need not look again.

On a cluster every job parses the workflow. With a thousand recordings each of them would list, stat and compare them
all, which a shared file system feels more than the job does. Standard library only.
"""

import json
import os
from dataclasses import fields
from pathlib import Path

from lib.session import RecordingInfo, Session

PATH = os.path.join(".snakemake", "session.json")  # of the folder the workflow runs in

# What the files say is not needed once it is known what is used of them.
FACTS = tuple(field.name for field in fields(RecordingInfo) if field.name != "header")
SESSION = tuple(field.name for field in fields(Session) if field.name != "recordings")


def hand_over(config: dict, settings: dict, session: Session, path: str = PATH) -> None:
    """Write down the session for the jobs, unless it is written already.

    Parameters
    ----------
    config : dict
        What the user wrote.
    settings : dict
        The same, checked and completed by `lib.config.load`.
    session : Session
        What `lib.session.open_session` makes of it.
    path : str
        The file.
    """
    data = {
        "config": _comparable(config),
        "facts": FACTS,
        "settings": settings,
        "session": {name: getattr(session, name) for name in SESSION},
        "recordings": [[getattr(recording, name) for name in FACTS] for recording in session.recordings],
    }
    data = json.loads(json.dumps(data))
    if _read(path) != data:
        from lib.store import write_json

        write_json(path, data)


def take_over(config: dict, path: str = PATH) -> tuple[dict, Session] | None:
    """Return settings and session as the main process found them; None if it wrote nothing, or for another `config`."""
    data = _read(path)
    if data is None or data.get("config") != _comparable(config) or data["facts"] != list(FACTS):
        return None
    recordings = tuple(RecordingInfo(*map(_frozen, facts)) for facts in data["recordings"])
    return data["settings"], Session(**data["session"], recordings=recordings)


def _comparable(config: dict) -> str:
    return json.dumps(config, sort_keys=True, default=str)


def _frozen(value):
    """Return the value as it was before JSON made a list of a tuple."""
    return tuple(value) if isinstance(value, list) else value


def _read(path: str) -> dict | None:
    try:
        return json.loads(Path(path).read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):  # another run's, or none: the job looks for itself
        return None
