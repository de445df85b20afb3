"""Snakemake submitting to a scheduler, and the jobs of a recording while they run."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import ClassVar

from .scheduler import ROOT, Scheduler, wait_for


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "snakemake", "-s", f"{ROOT}/Snakefile", "--configfile", "session.yaml", *arguments]


class ClusterRun:
    """`snakemake --profile profiles/<scheduler>` in a session folder, started at once."""

    running: ClassVar[list[subprocess.Popen]] = []  # those that a failed test may leave

    def __init__(self, folder: Path, scheduler: Scheduler, *arguments: str) -> None:
        self.folder = folder
        self.log = folder / f"run-{time.time_ns()}.log"
        with open(self.log, "w") as log:
            self.process = subprocess.Popen(
                command(
                    "--profile",
                    str(scheduler.profile or ROOT / "profiles" / scheduler.name),
                    *scheduler.arguments,
                    *arguments,
                ),
                cwd=folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=os.environ | scheduler.environment,
            )

        self.running.append(self.process)

    @property
    def output(self) -> str:
        return self.log.read_text("utf-8")

    def wait(self, seconds: float = 500) -> int:
        """The exit status."""
        try:
            return self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.process.send_signal(signal.SIGINT)
            self.process.wait(60)
            raise AssertionError(f"not done after {seconds} s\n{self.output}") from None

    def interrupt(self) -> None:
        """Ctrl-C."""
        self.process.send_signal(signal.SIGINT)

    def freeze(self, recording: str, partial: Path | None = None, batches: int = 4) -> dict[str, str]:
        """Stop the compensation of a recording when some batches are on disk; return its job's environment.

        It goes on existing, with its files open, and does nothing: the scheduler can kill it whenever it likes.
        """
        journal = (partial or self.folder / "compensated_outputs" / recording / ".partial") / "journal.jsonl"

        def halfway() -> bool:
            assert self.process.poll() is None, self.output
            return journal.exists() and journal.read_bytes().count(b"\n") > batches

        wait_for(halfway, f"{journal} with {batches} batches", 300, every=0.01)
        (pid,) = (pid for pid in _processes() if _holds_open(pid, journal))
        os.kill(pid, signal.SIGSTOP)
        lines = [json.loads(line) for line in journal.read_text().splitlines()]
        assert lines[-1].get("stop", 0) > 0
        entries = Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
        return dict(entry.decode().split("=", 1) for entry in entries if entry)


def _processes() -> list[int]:
    return [int(name) for name in os.listdir("/proc") if name.isdecimal()]


def _holds_open(pid: int, path: Path) -> bool:
    try:
        return any(os.path.samefile(link, path) for link in Path(f"/proc/{pid}/fd").iterdir() if link.exists())
    except (FileNotFoundError, ProcessLookupError):
        return False
