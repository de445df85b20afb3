#!/usr/bin/env python3
"""qsub, qstat and qdel of PBS Professional over a real SLURM; the name of the link that is called says which.

A stand-in, because no server of PBS Professional is to be had: it takes what the manual (PBS Professional Reference
Guide, "PBS Commands" and "Requesting Resources") allows, says no to everything else, and has SLURM enforce it.
"""

import getopt
import os
import re
import subprocess
import sys
from pathlib import Path

HOST_LEVEL = {"ncpus", "mem", "ngpus"}  # resources of a chunk, of those that every server knows
JOB_WIDE = {"walltime"}  # of those that go with `select`
SIZE = re.compile(r"(\d+)(b|kb|mb|gb|tb)")
KILOBYTES = {"b": 1 / 1024, "kb": 1, "mb": 1024, "gb": 1024**2, "tb": 1024**3}
STATES = {"PENDING": "Q", "RUNNING": "R", "COMPLETING": "E"}


def refuse(command: str, message: str, code: int = 1) -> None:
    print(f"{command}: {message}", file=sys.stderr)
    sys.exit(code)


def resources(asked: list[str]) -> dict[str, str]:
    """The resources of all -l: of the one chunk, and of the job."""
    chunk, job = None, {}
    for text in asked:
        if text.startswith("select="):
            if chunk is not None:
                refuse("qsub", "illegal -l value: two select statements")
            count, *parts = text.removeprefix("select=").split(":")
            if count != "1":
                refuse("qsub", f"this stand-in has one host, asked for {count} chunks")
            chunk = dict(part.partition("=")[::2] for part in parts)
        else:
            job |= dict(part.partition("=")[::2] for part in text.split(","))
    if chunk is None:
        refuse("qsub", "a job without select gets the server's default chunk: no memory and one core")
    for name in set(job) - JOB_WIDE:
        refuse("qsub", f'"-lresource=" cannot be used with "select" or "place", resource is: {name}')
    for name in set(chunk) - HOST_LEVEL:
        refuse("qsub", f"Unknown resource: {name}")
    for name in ("ncpus", "ngpus"):
        if not chunk.get(name, "0").isdecimal():
            refuse("qsub", f"Illegal attribute or resource value for {name}")
    if not SIZE.fullmatch(chunk.get("mem", "1gb")):
        refuse("qsub", "Illegal attribute or resource value for mem")
    if not re.fullmatch(r"\d+|(\d+:)?\d+:\d\d", job.get("walltime", "")):
        refuse("qsub", "Illegal attribute or resource value for walltime")
    return chunk | job


def qsub(arguments: list[str]) -> None:
    try:
        options, operands = getopt.getopt(arguments, "VA:j:l:N:o:q:")
    except getopt.GetoptError as error:
        refuse("qsub", f"invalid option: {error}", 2)
    values = dict(options)
    if len(operands) != 1 or not Path(operands[0]).is_file():
        refuse("qsub", f"script file:: No such file or directory: {operands}")
    if not re.fullmatch(r"[A-Za-z0-9+_.-]{1,230}", name := values.get("-N", "STDIN")):
        refuse("qsub", f"illegal -N value: {name!r}")
    if values.get("-j", "oe") != "oe":
        refuse("qsub", "illegal -j value")
    asked = resources([value for option, value in options if option == "-l"])
    hours, minutes, seconds = (int(part) for part in ("0:0:" + asked["walltime"]).split(":")[-3:])
    number, unit = SIZE.fullmatch(asked.get("mem", "1gb")).groups()
    command = [
        "sbatch",
        "--parsable",
        f"--chdir={os.environ['HOME']}",  # where jobs of PBS begin
        f"--job-name={name}",
        f"--partition={values['-q']}",
        f"--output={Path(values['-o']).absolute()}",
        f"--cpus-per-task={asked.get('ncpus', 1)}",
        f"--mem={round(int(number) * KILOBYTES[unit])}K",
        f"--time={hours * 60 + minutes + -(-seconds // 60)}",
        f"--export={'ALL' if '-V' in values else 'NONE'}",
    ]
    if int(asked.get("ngpus", 0)):
        command.append(f"--gres=gpu:{asked['ngpus']}")
    done = subprocess.run([*command, operands[0]], stdout=subprocess.PIPE, text=True)
    if done.returncode:
        sys.exit(done.returncode)
    print(f"{done.stdout.strip()}.node1")


def qstat(arguments: list[str]) -> None:
    try:
        options, jobs = getopt.getopt(arguments, "fx")
    except getopt.GetoptError as error:
        refuse("qstat", f"invalid option: {error}", 2)
    for job in jobs:
        done = subprocess.run(
            ["scontrol", "--oneliner", "show", "job", job.partition(".")[0]], capture_output=True, text=True
        )
        if done.returncode:
            refuse("qstat", f"Unknown Job Id {job}", 153)
        facts = dict(re.findall(r"(\w+)=(\S*)", done.stdout))
        state = STATES.get(facts["JobState"], "F")
        if state == "F" and ("-x", "") not in options:
            refuse("qstat", f"{job} Job has finished, use -x or -H to obtain historical job information", 35)
        lines = [f"Job Id: {job}", f"    Job_Name = {facts['JobName']}", f"    job_state = {state}"]
        if state == "F":
            code, signal = (int(part) for part in facts["ExitCode"].split(":"))
            ended = code or (256 + signal if signal else 0)
            lines.append(f"    Exit_status = {ended if facts['JobState'] == 'COMPLETED' else ended or 271}")
        print("\n".join(lines) if ("-f", "") in options else "\n".join(lines[:1]))


def qdel(arguments: list[str]) -> None:
    for job in arguments:
        if subprocess.run(["scancel", job.partition(".")[0]]).returncode:
            refuse("qdel", f"Unknown Job Id {job}", 153)


if __name__ == "__main__":
    {"qsub": qsub, "qstat": qstat, "qdel": qdel}[Path(sys.argv[0]).name](sys.argv[1:])
