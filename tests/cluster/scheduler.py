"""What the tests need of a scheduler, whichever it is."""

import subprocess
import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Self

ROOT = Path(__file__).parents[2]
CPUS, MEMORY_MB = 8, 20_000  # of the one node, however small the machine is


@dataclass(frozen=True)
class Submission:
    """A job as its scheduler saw it."""

    id: str
    text: str  # all the scheduler says of it
    state: str  # in the scheduler's words
    failed: bool
    threads: int
    memory_mb: int
    minutes: int
    gpus: int
    began: float | None  # seconds since the epoch
    ended: float | None


class Scheduler(ABC):
    """A scheduler on one node of `CPUS` CPUs, `MEMORY_MB` and one GPU that is none."""

    name: ClassVar[str]  # of the profile, unless that is told
    id_variable: ClassVar[str]  # of the environment of jobs
    too_little_mb: ClassVar[int]  # a request that no job gets along with
    arguments: tuple[str, ...] = ()  # what a site would write into the profile
    environment: dict[str, str] = {}
    profile: Path | None = None

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *exception: object) -> None:
        self.stop()

    @abstractmethod
    def start(self) -> None:
        """Set it up; return when it takes jobs."""

    @abstractmethod
    def stop(self) -> None:
        """End its daemons."""

    @abstractmethod
    def version(self) -> str:
        """What it calls itself."""

    @abstractmethod
    def submissions(self) -> list[Submission]:
        """All jobs since the start, those that are over included."""

    @abstractmethod
    def active(self) -> list[str]:
        """Jobs that wait or run."""

    @abstractmethod
    def cancel(self, job: str) -> None:
        """End a job as a user would."""


def wait_for(condition: Callable[[], object], what: str, seconds: float = 60, every: float = 0.2) -> None:
    """Wait until the condition holds; TimeoutError otherwise."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(f"{what}: not so within {seconds:.0f} s")
        time.sleep(every)


def succeeds(*command: str) -> bool:
    """Whether a command ends with 0."""
    return subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True).returncode == 0


def output(*command: str) -> str:
    """What a command says; nothing if it fails at once, as clients do until their daemon is there."""
    return subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True).stdout
