"""A real SLURM of one node, inside `isolated`: no systemd, no accounting database."""

import os
import re
import subprocess
import time
from pathlib import Path

from .scheduler import CPUS, MEMORY_MB, Scheduler, Submission, output, succeeds, wait_for

CONF = """
ClusterName=lab
SlurmctldHost=node1
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
StateSaveLocation={state}/ctld
SlurmdSpoolDir={state}/d
SlurmctldPidFile={state}/slurmctld.pid
SlurmdPidFile={state}/slurmd.pid
SlurmctldLogFile={state}/slurmctld.log
SlurmdLogFile={state}/slurmd.log
{containment}
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
SchedulerType=sched/backfill
SchedulerParameters=batch_sched_delay=0,bf_interval=1,sched_interval=1
MpiDefault=none
MinJobAge=3600
DefMemPerCPU=500
KillWait=2
InactiveLimit=0
JobAcctGatherType=jobacct_gather/linux
JobAcctGatherFrequency=task=1
AccountingStorageType=accounting_storage/none
# the machine may be smaller than the node is said to be, so that several jobs run at once
SlurmdParameters=config_overrides
GresTypes=gpu
NodeName=node1 CPUs={cpus} RealMemory={memory} Gres=gpu:1 State=UNKNOWN
PartitionName={queue} Nodes=node1 Default=YES MaxTime=INFINITE State=UP
"""
CGROUPS = "ProctrackType=proctrack/cgroup\nTaskPlugin=task/cgroup"
NO_CGROUPS = "ProctrackType=proctrack/linuxproc\nTaskPlugin=task/none\nJobAcctGatherParams=OverMemoryKill"
CGROUP_CONF = """
CgroupPlugin=cgroup/v1
CgroupMountpoint=/sys/fs/cgroup
CgroupAutomount=no
ConstrainCores=no
ConstrainRAMSpace=yes
ConstrainSwapSpace=no
ConstrainDevices=no
"""


class Slurm(Scheduler):
    """SLURM, with limits enforced by control groups where the machine has their version 1."""

    name = "slurm"
    id_variable = "SLURM_JOB_ID"
    queue = "short"
    too_little_mb = 250
    # a node has no accounting database here, and tests do not wait 40 s for the first look at a job
    arguments = (
        "--slurm-status-command=squeue",
        "--slurm-init-seconds-before-status-checks=2",
        "--default-resources=slurm_partition=short",
    )

    def __init__(self, state: Path, cpus: int = CPUS) -> None:
        self.state, self.cpus = state / "slurm", cpus
        self.daemons: list[subprocess.Popen] = []

    def start(self) -> None:
        (self.state / "ctld").mkdir(parents=True)
        (self.state / "d").mkdir()
        groups = os.path.isdir("/sys/fs/cgroup/memory")
        conf = CONF.format(
            state=self.state,
            containment=CGROUPS if groups else NO_CGROUPS,
            cpus=self.cpus,
            memory=MEMORY_MB,
            queue=self.queue,
        )
        # in the default place, because the executor's jobs drop SLURM_CONF
        Path("/etc/slurm/slurm.conf").write_text(conf)
        Path("/etc/slurm/gres.conf").write_text("NodeName=node1 Name=gpu File=/dev/null\n")
        Path("/etc/slurm/cgroup.conf").write_text(CGROUP_CONF if groups else "")
        subprocess.run(["install", "-d", "-o", "munge", "-g", "munge", "-m", "0755", "/run/munge"], check=True)
        if not Path("/etc/munge/munge.key").exists():
            subprocess.run(["runuser", "-u", "munge", "--", "mungekey", "-c"], check=True)
        self._daemon("runuser", "-u", "munge", "--", "/usr/sbin/munged", "--foreground", "--force")
        wait_for(lambda: succeeds("munge", "-n"), "munged")
        self._daemon("slurmctld", "-D")
        wait_for(lambda: "UP" in output("scontrol", "ping"), "slurmctld")
        self._daemon("slurmd", "-D", "-N", "node1")
        wait_for(lambda: "idle" in output("sinfo", "-h", "-o", "%T"), "slurmd")

    def stop(self) -> None:
        for daemon in reversed(self.daemons):
            daemon.terminate()
        for daemon in self.daemons:
            try:
                daemon.wait(20)
            except subprocess.TimeoutExpired:
                daemon.kill()

    def version(self) -> str:
        return output("sinfo", "--version").strip()

    def active(self) -> list[str]:
        return output("squeue", "-h", "-t", "PENDING,RUNNING,COMPLETING", "-o", "%i").split()

    def cancel(self, job: str) -> None:
        subprocess.run(["scancel", job], check=True)

    def submissions(self) -> list[Submission]:
        found = []
        for text in output("scontrol", "--oneliner", "show", "job").splitlines():
            facts = dict(re.findall(r"(\w+)=(\S*)", text))
            if "JobId" not in facts:
                continue
            gpus = re.search(r"TresPer\w+=\S*gpu:(\d+)", text)
            began, ended = (_seconds(facts[key]) for key in ("StartTime", "EndTime"))
            found.append(
                Submission(
                    id=facts["JobId"],
                    text=text,
                    state=facts["JobState"],
                    failed=facts["JobState"] not in ("PENDING", "RUNNING", "COMPLETING", "COMPLETED"),
                    threads=int(facts["NumCPUs"]),
                    memory_mb=_megabytes(facts["MinMemoryNode"]),
                    minutes=_minutes(facts["TimeLimit"]),
                    gpus=int(gpus[1]) if gpus else 0,
                    began=began,
                    ended=ended,
                )
            )
        return found

    def _daemon(self, *command: str) -> None:
        with open(self.state / f"{Path(command[0]).name}-{len(self.daemons)}.out", "w") as out:
            self.daemons.append(subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=out, stderr=out))


def _seconds(text: str) -> float | None:
    return None if text in ("Unknown", "None") else time.mktime(time.strptime(text, "%Y-%m-%dT%H:%M:%S"))


def _megabytes(text: str) -> int:
    number, unit = re.fullmatch(r"([\d.]+)([MG]?)", text).groups()
    return round(float(number) * {"": 1, "M": 1, "G": 1024}[unit])


def _minutes(text: str) -> int:
    days, _, clock = text.rpartition("-")
    hours, minutes, seconds = (int(part) for part in clock.split(":"))
    return int(days or 0) * 1440 + hours * 60 + minutes + (seconds > 0)
