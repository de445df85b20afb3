"""A real Grid Engine of one node, inside `isolated`: no systemd; memory and GPUs are consumables."""

import os
import re
import subprocess
import time
from pathlib import Path

from .scheduler import CPUS, MEMORY_MB, Scheduler, Submission, output, succeeds, wait_for

ROOT, CELL = Path("/var/lib/gridengine"), "default"
ADDRESS_MB = 2000  # what the profile adds, because h_vmem counts address space

PARALLEL_ENVIRONMENT = """pe_name smp
slots 999
user_lists NONE
xuser_lists NONE
start_proc_args NONE
stop_proc_args NONE
allocation_rule $pe_slots
control_slaves FALSE
job_is_first_task TRUE
urgency_slots min
accounting_summary FALSE
qsort_args NONE
"""
QUEUE = f"""qname all.q
hostlist node1
seq_no 0
load_thresholds NONE
suspend_thresholds NONE
nsuspend 1
suspend_interval 00:05:00
priority 0
min_cpu_interval 00:05:00
processors UNDEFINED
qtype BATCH INTERACTIVE
ckpt_list NONE
pe_list smp
rerun FALSE
slots {CPUS}
tmpdir /tmp
shell /bin/bash
prolog NONE
epilog NONE
shell_start_mode unix_behavior
starter_method NONE
suspend_method NONE
resume_method NONE
terminate_method NONE
notify 00:00:60
owner_list NONE
user_lists NONE
xuser_lists NONE
subordinate_list NONE
complex_values NONE
projects NONE
xprojects NONE
calendar NONE
initial_state default
""" + "".join(f"{kind} INFINITY\n" for kind in (
    "s_rt h_rt s_cpu h_cpu s_fsize h_fsize s_data h_data s_stack h_stack s_core h_core s_rss h_rss s_vmem h_vmem"
).split())  # fmt: skip


class GridEngine(Scheduler):
    """Son of Grid Engine as Debian has it."""

    name = "sge"
    id_variable = "JOB_ID"
    too_little_mb = -ADDRESS_MB  # what is left, 100 MB for each thread, is less than Snakemake reserves
    environment = {"SGE_ROOT": str(ROOT), "SGE_CELL": CELL}

    def __init__(self, state: Path) -> None:
        self.state = state / "sge"

    def start(self) -> None:
        self.state.mkdir()
        os.environ.update(self.environment)
        (ROOT / CELL / "common/act_qmaster").write_text("node1\n")
        self._daemon("sge_qmaster")
        wait_for(lambda: output("qconf", "-sh"), "sge_qmaster")
        if "root" not in output("qconf", "-sm").split():  # only sgeadmin may do this at first
            self._configure("runuser", "-u", "sgeadmin", "--", "qconf", "-am", "root")
        for option in ("-ah", "-as"):  # administrative and submit host
            self._configure("qconf", option, "node1")
        # look every second, write the accounting at once, take jobs of root
        self._change("-ssconf", "-Msconf", "schedule_interval 0:0:1", "flush_submit_sec 1", "flush_finish_sec 1")
        text = output("qconf", "-sconf").replace("flush_time=00:00:15", " flush_time=00:00:01")
        text = re.sub(r"(?m)^(min_[ug]id) .*", r"\1 0", text)
        self._configure("qconf", "-Mconf", self._file("global", text))
        self._daemon("sge_execd")
        wait_for(lambda: "node1" in output("qconf", "-sel"), "sge_execd")
        complexes = re.sub(r"(?m)^h_vmem .*", "h_vmem h_vmem MEMORY <= YES YES 2G 0", output("qconf", "-sc"))
        if not re.search(r"(?m)^gpu ", complexes):
            complexes += "gpu gpu INT <= YES JOB 0 0\n"
        self._configure("qconf", "-Mc", self._file("complexes", complexes))
        for kind, name, text in (("p", "smp", PARALLEL_ENVIRONMENT), ("q", "all.q", QUEUE)):
            there = succeeds("qconf", f"-s{kind}", name)  # as some packages, or an earlier set-up, have left it
            self._configure("qconf", f"-{'M' if there else 'A'}{kind}", self._file(name, text))
        # address space is what h_vmem counts, and that is far more than memory
        values = f"slots={CPUS},h_vmem={4 * MEMORY_MB}M,gpu=1"
        self._configure("qconf", "-rattr", "exechost", "complex_values", values, "node1")
        wait_for(lambda: re.search(r"(?m)^all\.q.*\d\s*$", output("qstat", "-f")), "the queue all.q")

    def stop(self) -> None:
        pids = [*Path("/var/spool/gridengine").rglob("*.pid")]
        running = [int(path.read_text()) for path in pids if path.read_text().strip()]
        for pid in running:
            if Path(f"/proc/{pid}").exists():
                os.kill(pid, 15)
        wait_for(lambda: not any(Path(f"/proc/{pid}").exists() for pid in running), "Grid Engine has stopped")

    def version(self) -> str:
        return "Grid Engine " + output("qstat", "-help").splitlines()[0]

    def active(self) -> list[str]:
        return re.findall(r"(?m)^ *(\d+) ", output("qstat", "-u", "*"))

    def cancel(self, job: str) -> None:
        subprocess.run(["qdel", job], check=True)

    def submissions(self) -> list[Submission]:
        """Those that are over; the accounting file follows them by a second."""
        wait_for(lambda: not self.active(), "no job is left")
        time.sleep(3)
        found = []
        for text in output("qacct", "-j").split("=" * 62):
            facts = dict(line.split(None, 1) for line in text.splitlines() if len(line.split(None, 1)) == 2)
            if "jobnumber" not in facts:
                continue
            asked = dict(re.findall(r"(\w+)=(\w+)", facts.get("category", "")))
            threads = int(facts["slots"])
            found.append(
                Submission(
                    id=facts["jobnumber"].strip(),
                    text=text,
                    state=f"failed {facts['failed']}, exit status {facts['exit_status']}",
                    failed=facts["failed"].split()[0] != "0" or facts["exit_status"].split()[0] != "0",
                    threads=threads,
                    memory_mb=threads * (_megabytes(asked["h_vmem"]) - 100) - ADDRESS_MB,
                    minutes=int(asked["h_rt"]) // 60,
                    gpus=int(asked.get("gpu", 0)),
                    began=_seconds(facts["start_time"]),
                    ended=_seconds(facts["end_time"]),
                )
            )
        return sorted(found, key=lambda submission: int(submission.id))

    def _change(self, show: str, modify: str, *lines: str) -> None:
        text = output("qconf", show)
        for line in lines:
            key = line.split()[0]
            text = re.sub(rf"(?m)^{key} .*", line, text)
        self._configure("qconf", modify, self._file(modify.strip("-"), text))

    def _file(self, name: str, text: str) -> str:
        path = self.state / name
        path.write_text(text)
        self.state.chmod(0o755)
        return str(path)

    def _configure(self, *command: str) -> None:
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True)
        if done.returncode:
            raise RuntimeError(f"{' '.join(command)}: {done.stdout}{done.stderr}")

    def _daemon(self, name: str) -> None:
        with open(self.state / f"{name}.out", "w") as out:
            subprocess.run([name], stdin=subprocess.DEVNULL, stdout=out, stderr=out, check=True)


def _megabytes(text: str) -> float:
    number, unit = re.fullmatch(r"([\d.]+)([MGK]?)", text).groups()
    return float(number) * {"K": 1 / 1024, "M": 1, "G": 1024, "": 1 / 2**20}[unit]


def _seconds(text: str) -> float | None:
    try:
        return time.mktime(time.strptime(" ".join(text.split()), "%a %b %d %H:%M:%S %Y"))
    except ValueError:  # "-/-": it never ran
        return None
