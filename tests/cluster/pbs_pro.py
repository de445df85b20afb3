"""PBS as PBS Professional and OpenPBS speak it: a strict stand-in for its commands, over a real SLURM."""

import os
import re
import shutil
import subprocess
from pathlib import Path

from .scheduler import ROOT
from .slurm import Slurm

COMMANDS = Path(__file__).with_name("pbs_pro_commands.py")


class PbsPro(Slurm):
    """The scheduler is SLURM; the profile is that for PBS with the line for PBS Professional, as its comment says."""

    name = "pbspro"
    queue = "batch"  # as in the profile
    too_little_mb = 120
    arguments = ()

    def __init__(self, state: Path) -> None:
        super().__init__(state)
        self.state = state / "pbspro"
        self.commands = self.state / "bin"
        self.profile = self.state / "profile"
        self.environment = {"PATH": f"{self.commands}:{os.environ['PATH']}"}

    def start(self) -> None:
        super().start()
        self.commands.mkdir()
        for command in ("qsub", "qstat", "qdel"):
            shutil.copy(COMMANDS, self.commands / command)
            (self.commands / command).chmod(0o755)
        shutil.copytree(ROOT / "profiles" / "pbs", self.profile)
        profile = self.profile / "profile.yaml"
        text = profile.read_text("utf-8")
        line = re.search(r"(?m)^# +(-l select=.*)$", text)[1]
        text, count = re.subn(r"(?m)^  -l nodes=.*$", lambda _: f"  {line}", text)
        assert count == 1, text
        profile.write_text(text, "utf-8")

    def version(self) -> str:
        return f"PBS Professional's commands, a stand-in, over {super().version()}"

    def cancel(self, job: str) -> None:
        subprocess.run([self.commands / "qdel", f"{job}.node1"], check=True, env=os.environ | self.environment)
