"""How the workflow is called, and what Snakemake itself says about it."""

import os
import re
import subprocess

import pytest

from .conftest import NAMES, REPOSITORY, command, snakemake, write_config


def call(*arguments, cwd):
    done = subprocess.run(
        command(*arguments), cwd=cwd, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=120
    )
    return done.returncode, done.stdout


def test_lint(fresh):
    code, output = call("--configfile", "session.yaml", "--lint", cwd=fresh)
    assert code == 0, output


def test_every_rule_says_what_it_does(fresh):
    code, output = call("--configfile", "session.yaml", "--list", cwd=fresh)
    assert code == 0
    scripts = {path.stem for path in (REPOSITORY / "scripts").glob("*.py")}
    rules = dict(re.findall(r"^(\w+) \((\S.*)\)$", output, re.MULTILINE))
    assert {"all", "stage1", "stage2", "compensate_recording", "intersect_masks"} <= set(rules)
    assert set(rules) - {"all", "stage1", "stage2", "inspect"} <= scripts  # rule and script share their name


def test_configfile_stands_alone(fresh, tmp_path):
    """The project's own settings, found where Snakemake runs, are not mixed into a file given by --configfile."""
    (fresh / "config").mkdir()
    (fresh / "config" / "session.yaml").write_text("pattern: '*.none'\n")
    assert snakemake(fresh, "-n").returncode == 0
    code, output = call("-n", "--cores", "1", cwd=fresh)  # without --configfile it counts
    assert code != 0 and "*.none" in output


def test_runs_from_elsewhere(finished, tmp_path):
    code, output = call(
        "-n", "--cores", "1", "--directory", str(finished), "--configfile", str(finished / "session.yaml"), cwd=tmp_path
    )
    assert code == 0 and "Nothing to be done" in output
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("profile", ["local", "slurm", "sge", "pbs"])
def test_profiles(finished, profile):
    run = snakemake(finished, "-n", "--profile", str(REPOSITORY / "profiles" / profile))
    assert run.nothing_to_do, run.output


CLUSTER = ["--executor", "cluster-generic", "--cluster-generic-submit-cmd", "bash", "--jobs", "1"]


def test_jobs_of_a_cluster(fresh):
    """Jobs that a scheduler starts run Snakemake again; here the shell is the scheduler."""
    run = snakemake(fresh, *CLUSTER, "compensated_outputs/b ü 2/compensated.hdf5")
    assert run.returncode == 0, run.output
    assert (fresh / "compensated_outputs/b ü 2/status.json").exists()
    # `n_workers: auto` asks for 4 per job on clusters, here cut to --cores 2; the job itself must see the same
    assert re.findall(r"threads: (\d+)", run.output) == ["2", "2"], run.output


def test_all_cores_of_a_cluster_make_no_sense(fresh):
    run = snakemake(fresh, *CLUSTER, config=["n_workers=-1"])
    assert run.returncode != 0 and "n_workers: -1 means all cores of one machine" in run.output


def test_parse_imports_no_arrays(finished):
    """On a cluster every job parses the workflow again, so that must stay cheap once recordings are known."""
    code = "import sys, runpy; sys.argv = ['snakemake', *sys.argv[1:]]\n"
    code += "try: runpy.run_module('snakemake', run_name='__main__')\n"
    code += "except SystemExit: pass\n"
    code += "print('loaded:', sorted({'h5py', 'numba', 'tifffile', 'scipy'} & set(sys.modules)))"
    arguments = ["--configfile", "session.yaml", "--cores", "1", "-n"]
    done = subprocess.run(
        [command()[0], "-c", code, "-s", str(REPOSITORY / "Snakefile"), *arguments],
        cwd=finished,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert "loaded: []" in done.stdout, done.stdout + done.stderr


def test_a_job_looks_at_its_own_recording_only(fresh):
    """Else a thousand jobs would look at a thousand recordings each, which file servers do not bear."""
    (fresh / "raw").mkdir()  # `python -m snakemake` itself looks at all files of the folder where it is called
    for name in NAMES:
        (fresh / f"{name}.tif").rename(fresh / "raw" / f"{name}.tif")
    write_config(fresh, root="raw")
    assert snakemake(fresh, "-n").returncode == 0
    code = "import os, sys, runpy; sys.argv = ['snakemake', *sys.argv[1:]]; seen = []\n"
    code += "def spy(stat): return lambda path, *args, **key: (seen.append(str(path)), stat(path, *args, **key))[1]\n"
    code += "os.stat, os.lstat = spy(os.stat), spy(os.lstat)\n"
    code += "sys.addaudithook(lambda event, args: event in ('open', 'os.scandir') and seen.append(str(args[0])))\n"
    code += "try: runpy.run_module('snakemake', run_name='__main__')\n"
    code += "except SystemExit: print('seen:', *seen, sep='\\n')"
    job = ["--target-jobs", "compensate_recording:recording=b ü 2", "--allowed-rules", "compensate_recording"]
    job += ["--force", "--max-inventory-time", "0", "--nolock", "--mode", "remote", "--configfile", "session.yaml"]
    done = subprocess.run(
        [command()[0], "-c", code, "-s", str(REPOSITORY / "Snakefile"), *job, "--cores", "1", "-n"],
        cwd=fresh,
        capture_output=True,
        text=True,
        timeout=120,
    )
    seen = done.stdout.partition("seen:")[2]
    assert "session.json" in seen, done.stdout + done.stderr
    assert "a_1" not in seen and "c_3" not in seen


def test_report(finished):
    code, output = call("--configfile", "session.yaml", "--report", "report.html", cwd=finished)
    assert code == 0, output
    assert "session mask" in (finished / "report.html").read_text("utf-8")
