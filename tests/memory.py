"""What a compensation takes of the memory, for tests and benchmarks."""

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from lib import resources
from lib.config import load
from lib.recording import open_recording
from lib.session import RecordingInfo

ROOT = Path(__file__).parents[1]
JOB = """
import json, sys
from scripts.compensate_recording import compensate_recording
compensate_recording(**json.loads(sys.argv[1]), kernel="memory", save_compact_flow=True)
print(next(line.split()[1] for line in open("/proc/self/status") if line.startswith("VmHWM")))
"""  # the kernel's own peak of this process: that of wait4 would count the parent's memory too


@dataclass(frozen=True)
class Memory:
    """Of one compensation, in MB: its peak, and what the workflow asks for it and the Snakemakes around it."""

    peak: float
    request: int


def measure(path: Path, folder: Path, *, quality: str, threads: int) -> Memory:
    """Compensate a recording as the workflow would, into a folder."""
    options = load({"flow_options": {"quality_setting": quality}}, ROOT / "config" / "session.schema.json")[
        "flow_options"
    ]
    with open_recording(path) as movie:
        shape = (*movie.frame_shape, 1)[:3]
        facts = dict(zip(("height", "width", "channels"), shape, strict=True))
        recording = RecordingInfo(
            "a", str(path), path.stat().st_size, frames=movie.frames, dtype=movie.dtype.name, **facts
        )
    batch = resources.batch_frames(recording, threads)
    job = {"source": str(path), "folder": str(folder), "options": options, "threads": threads, "batch": batch}
    done = subprocess.run([sys.executable, "-c", JOB, json.dumps(job)], cwd=ROOT, stdout=subprocess.PIPE, text=True)
    if done.returncode:
        raise RuntimeError("the compensation failed; its messages are above")
    request = resources.compensation_mb(recording, threads, batch, 1, options=options)
    return Memory(int(done.stdout) * 1024 / 1e6, request)
