"""PBS as Torque speaks it: Debian's layer of qsub, qstat and qdel over a real SLURM."""

import os
import subprocess
from pathlib import Path

from .slurm import Slurm

UNPACKED = Path("/opt/flowsession-torque")  # see `install`: as a package it conflicts with Grid Engine's
SLURM_COMMANDS = ("sbatch", "salloc", "srun", "scancel", "squeue", "scontrol")


class Torque(Slurm):
    """The scheduler is SLURM, the commands and the syntax are Torque's."""

    name = "pbs"
    queue = "batch"  # as in the profile
    too_little_mb = 120
    # this layer tells no exit status, so that Snakemake waits for the outputs of failed jobs, a minute as shipped
    arguments = ("--latency-wait=5",)

    def __init__(self, state: Path) -> None:
        super().__init__(state)
        self.state = state / "torque"
        self.commands = self.state / "bin"
        self.environment = {"PATH": f"{self.commands}:{os.environ['PATH']}"}

    def start(self) -> None:
        super().start()
        self.commands.mkdir()
        for command in (UNPACKED / "usr/bin").iterdir():
            (self.commands / command.name).write_bytes(command.read_bytes())
            (self.commands / command.name).chmod(0o755)
        for name in SLURM_COMMANDS:  # looked for beside themselves
            (self.commands / name).symlink_to(f"/usr/bin/{name}")

    def version(self) -> str:
        return f"Torque commands over {super().version()}"

    def cancel(self, job: str) -> None:
        subprocess.run([self.commands / "qdel", job], check=True)
