"""Split the compensation of long recordings over several jobs (standard library only).

How many is decided when a recording has to be compensated, and remembered: another number later on, because the setting
or the machine is another one, is no reason to compensate a finished recording again.
"""

import json
from collections.abc import Callable, Iterable
from math import ceil
from pathlib import Path

from lib.session import RecordingInfo

MEMORY = ".shards.json"  # in the folder of the outputs: recordings of more than one shard

# Milliseconds for a frame of 512 x 512 on one core, and seconds that a shard should take at least: it starts with a
# wait in the queue, two Pythons and the compiled kernels.
FRAME_MS = {"fast": 5, "balanced": 10, "quality": 40}
WORTH_SECONDS = 60


def spans(frames: int, shards: int) -> list[tuple[int, int]]:
    """Split frames into stretches [start, stop) that are as equal as can be, none of them empty."""
    shards = min(shards, frames)
    edges = [frames * i // shards for i in range(shards + 1)]
    return list(zip(edges, edges[1:], strict=False))


def wanted_shards(
    recordings: Iterable[RecordingInfo], setting: int | str, *, jobs: int, threads: int, quality: str
) -> dict[str, int]:
    """Return in how many shards each recording is best compensated.

    Parameters
    ----------
    recordings
        All of the session.
    setting
        A number, or "auto": so many that no job has much more to do than its share of the whole session, but each
        has work for a minute.
    jobs, threads
        Jobs that run side by side, and the threads of one.
    quality
        The preset.
    """
    recordings = list(recordings)
    if setting != "auto":
        return {recording.name: min(setting, recording.frames) for recording in recordings}
    work = {  # seconds of one job
        r.name: r.frames * r.height * r.width * r.channels / 512**2 * FRAME_MS[quality] / 1000 / threads
        for r in recordings
    }
    share = max(sum(work.values()) / jobs, WORTH_SECONDS)
    # half a share more than a share is not worth two jobs
    return {name: max(1, ceil(seconds / share - 0.5)) for name, seconds in work.items()}


def remembered_shards(folder: str) -> dict[str, int]:
    """Return the shards of the recordings that have, or had when they were compensated, more than one."""
    try:
        return json.loads(Path(folder, MEMORY).read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):  # without it finished recordings are redone if they were split, no more
        return {}


def plan_shards(
    wanted: dict[str, int], folder: str, finished: Callable[[str], bool], *, remember: bool = True
) -> dict[str, int]:
    """Return the shards of all recordings with more than one: as wanted, or as they were where nothing is to be done.

    Parameters
    ----------
    wanted
        Shards by recording, see `wanted_shards`.
    folder
        Where the outputs are, and what `remembered_shards` reads.
    finished
        Tells whether a recording has been compensated as it is to be.
    remember
        Write down the plan, for the jobs and for later runs.
    """
    before = remembered_shards(folder)
    plan = {
        name: before.get(name, 1) if before.get(name, 1) != count and finished(name) else count
        for name, count in wanted.items()
    }
    plan = {name: count for name, count in plan.items() if count > 1}
    if remember and plan != before:
        from lib.store import write_json

        write_json(Path(folder, MEMORY), plan)
    return plan
