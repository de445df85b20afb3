# What all rules share: the checked settings, the session, input functions and resources. No rules here.

import json
import os
import sys
import time
from dataclasses import replace
from functools import lru_cache
from importlib.util import find_spec

from snakemake.exceptions import WorkflowError
from snakemake.logging import logger

from lib import resources
from lib.claim import ClaimedError, claim
from lib.handover import hand_over, take_over
from lib.logs import failure_report
from lib.session import SessionError, open_session
from lib.shards import plan_shards, remembered_shards, spans, wanted_shards
from lib.sources import fingerprint
from lib.status import facts, mark_damage, stamp, stamped_rules, trust
from lib.version import KERNEL

# Answered while parsing, because recordings that cannot be used end it, and people want to see those most.
INSPECT = workflow.is_main_process and "inspect" in sys.argv
if INSPECT and workflow.resource_settings.cores is None:
    workflow.resource_settings.cores = 1  # nothing is computed: `snakemake inspect` needs no --cores


def tell_recordings(settings, recordings, left=()):
    """Print what was found for `snakemake inspect`."""
    from lib.overview import overview

    options = settings["flow_options"]
    reading = {"channels": settings["channels"], "bidiphase": settings["bidiphase"]}
    if recordings or left:
        print(overview(recordings, left, bin_size=options["bin_size"], **reading), flush=True)


# Jobs on a cluster parse this too, while others write: only the main process looks at recordings and for damage.
handed_over = None if workflow.is_main_process else take_over(config)
if handed_over:
    settings, session = handed_over
else:
    from lib.config import ConfigError, load

    try:
        schema = os.path.join(workflow.basedir, "config", "session.schema.json")
        settings = load(config, schema, warn=logger.warning if workflow.is_main_process else None)
        session = open_session(settings)
    except (ConfigError, SessionError) as error:
        if INSPECT and isinstance(error, SessionError):
            tell_recordings(settings, error.recordings, error.left)
        raise WorkflowError(str(error)) from None
    if INSPECT:
        tell_recordings(settings, session.recordings)
    if workflow.is_main_process:
        hand_over(config, settings, session)

options = settings["flow_options"]
if session.external:  # another tool's frames are taken as they are, and what it says of them is not looked at
    options |= {"bin_size": 1, "save_w": False, "save_meta_info": False}

FOLDERS = [os.path.dirname(path) for path in [*session.paths("status"), session.path("final_status")]]
VERIFIED = os.path.join(session.output_root, ".verified.json")
STARTED = time.time_ns()

if workflow.is_main_process:
    for damage in mark_damage(FOLDERS, VERIFIED):
        logger.warning(f"Damaged: {damage}")
    STAMPED = stamped_rules(FOLDERS)

# What the compensated frames depend on. What cannot change them (threads, batches, which files to keep) is no
# parameter of the rule, because Snakemake redoes a recording whose parameters have changed.
COMPENSATION = {
    key: value
    for key, value in options.items()
    if key not in ("buffer_size", "save_w", "save_w_compact", "save_valid_idx", "save_meta_info")
}

# Parameters of every rule that compensates.
STAGE1 = {
    "options": COMPENSATION,
    "reading": lambda wildcards: session.reading(recording(wildcards)),
    # a source that was exchanged for an older file is noticed by its size or shape
    "source": lambda wildcards: recording(wildcards).facts,
    "kernel": KERNEL,
}

ALIGNED_MOVIE = {"TIFF": "aligned_tiff", "HDF5": "aligned_hdf5", "none": None}[
    settings["align_output_format"]
]
FROM_RAW = bool(ALIGNED_MOVIE) and settings["align_from"] == "raw" and not session.external
KEPT = {"save_flow": options["save_w"], "save_compact_flow": FROM_RAW}  # of what is not always kept

# Categories of the report, in the order of its menu, which is alphabetic; and the recordings that have a page there,
# of about a megabyte each: of more recordings, the session's page has to do.
SESSION_CATEGORY, RECORDINGS_CATEGORY = "1 Session", "2 Recordings"
MOST_PAGES = 40
PAGED = session.names if len(session.names) <= MOST_PAGES else []
# Snakemake keeps the inputs of a job with each of its outputs, and compares them at every start. With thousands of inputs
# a preview per recording would take it a minute: then the folder of all is the output.
PREVIEWS = session.paths("preview") if PAGED else directory(session.path("previews"))

RECORDING_RESULTS = [
    "compensated",
    "status",
    "average",
    "mask",
    "valid_fraction",
    "to_reference",
    "to_reference_mat",
    "aligned_mask",
]
RECORDING_RESULTS += [] if session.external else ["reference", "calibration"]
RECORDING_RESULTS += ["recording_page"] if PAGED else []
RECORDING_RESULTS += ["preview"] if PAGED and not session.external else []
RECORDING_RESULTS += ["valid"] if options["save_valid_idx"] else []
RECORDING_RESULTS += ["statistics"] if options["save_meta_info"] else []
RECORDING_RESULTS += ["flow"] if options["save_w"] else []
RECORDING_RESULTS += ["compact_flow"] if FROM_RAW and options["save_w_compact"] else []
RECORDING_RESULTS += [ALIGNED_MOVIE] if ALIGNED_MOVIE else []
SESSION_RESULTS = ["center", "final_png", "final_npz", "final_mat", "final_status"]
SESSION_RESULTS += ["summary_figure", "summary_table", "session_page"]

CLUSTER_THREADS = 4  # of a job with `n_workers: auto`
MANY_JOBS = 100  # side by side on a cluster, if --jobs sets no limit

# Submitting jobs, or being one of those. The main process has no idea what the nodes have.
ON_CLUSTER = workflow.resource_settings.nodes is not None or not workflow.is_main_process

# A GPU is asked for where the settings say so; `auto` takes CuPy, where it is installed, for the sign of one, and the
# job falls back if there is none. Rules that compute with it have these resources and this environment.
HAS_CUPY = find_spec("cupy") is not None
GPU = {}
if settings["flow_backend"] == "cupy" or (settings["flow_backend"] == "auto" and HAS_CUPY and not ON_CLUSTER):
    GPU = {"gpu": 1}
FLOW_ENVIRONMENT = "../envs/gpu.yaml" if GPU else "../envs/cpu.yaml"
BACKEND = {
    "wanted": settings["flow_backend"] if GPU else "numba",
    "device": settings["backend_params"]["device"],
}
if settings["flow_backend"] == "cupy" and not (HAS_CUPY or workflow.deployment_settings.deployment_method):
    raise WorkflowError(
        "flow_backend: 'cupy' needs CuPy, which is not installed here. 'make setup-gpu' installs the one for your "
        "driver (see the README, section GPU); or set flow_backend to 'auto' or 'numba'."
    )

BETWEEN = (
    "cc_upsample",
    "sigma_smooth",
    "alpha_between",
    "iterations_between",
    "stage2_constancy_assumption",
)


def recording(wildcards):
    """What is known about the job's recording."""
    try:
        return session.by_name[wildcards.recording]
    except KeyError:
        raise WorkflowError(
            f"'{wildcards.recording}' is none of the recordings: {', '.join(session.names)}"
        ) from None


def reading(wildcards):
    """How the files of the job's recording are to be read."""
    return session.reading(recording(wildcards))


def threads(wildcards):
    """Threads of a job that registers or warps frames."""
    wanted = settings["n_workers"]
    cores = workflow.resource_settings.cores or 1  # none are given for --report and the like
    if wanted == "auto":
        # jobs side by side use few cores better than threads, as long as there is a recording for every core
        return CLUSTER_THREADS if ON_CLUSTER else -(-cores // len(session.names))
    if wanted > 0:
        return wanted
    if workflow.non_local_exec:
        raise WorkflowError(
            "n_workers: -1 means all cores of one machine, but jobs go to a cluster; give a number."
        )
    return cores


def submission(name):
    """Group of jobs that go to a scheduler as one; elsewhere none, because groups make dry runs harder to read."""
    return name if ON_CLUSTER else None


@lru_cache
def shards():
    """The recordings whose compensation is split, and over how many jobs. The main process decides it."""
    if not workflow.is_main_process:
        return remembered_shards(session.output_root)
    per_job = threads(None)
    if workflow.non_local_exec:
        jobs = workflow.resource_settings.nodes or MANY_JOBS
    else:
        jobs = max((workflow.resource_settings.cores or 1) // per_job, 1)
    wanted = wanted_shards(
        session.recordings,
        1 if GPU and settings["shards"] == "auto" else settings["shards"],  # one GPU gains nothing by it
        jobs=jobs,
        threads=per_job,
        quality=options["quality_setting"],
    )
    runs = workflow.executor_plugin is not None and not workflow.dryrun
    return plan_shards(wanted, session.output_root, is_compensated, remember=runs)


def is_compensated(name):
    """Whether a recording has been compensated as it is to be, from the file that is there."""
    made = facts(os.path.dirname(session.path("status", name)))
    source = fingerprint(session.by_name[name].path)
    return (
        made.get("parameters") == COMPENSATION
        and made["versions"]["kernel"] == KERNEL
        and made["source"] == made["source"] | source
    )


def shard(wildcards):
    """The job's shard as if it were a recording; without frames if the job prepares them."""
    frames = int(wildcards.get("stop", 0)) - int(wildcards.get("first", 0))
    return replace(recording(wildcards), frames=frames * options["bin_size"])


def shards_of(wildcards):
    """Input function: the shards of the recording, if its compensation is split."""
    count = shards().get(wildcards.recording, 1)
    frames = -(-recording(wildcards).frames // options["bin_size"])
    return [
        session.path("shard", wildcards.recording, first=first, stop=stop)
        for first, stop in spans(frames, count)
        if count > 1
    ]


def summary_threads(wildcards):
    """Processes that look at recordings and draw; a few are enough."""
    cores = CLUSTER_THREADS if workflow.non_local_exec else workflow.resource_settings.cores or 1
    return min(len(session.names), cores, CLUSTER_THREADS)


# As parameters these take `input`: Snakemake then counts them as derived, and a change is no reason to run again.
# Taking `threads` would do the same, at the price of computing the resources of every job that is up to date.
def batch(wildcards, input=None):
    """Frames compensated at once."""
    return resources.batch_frames(
        recording(wildcards), threads(wildcards), options["buffer_size"], gpu=bool(GPU)
    )


def scratch(wildcards, input=None):
    """Where files are while they are made."""
    return settings["scratch"]


def align_chunk(wildcards, input=None):
    """Frames aligned at once."""
    return resources.batch_frames(
        recording(wildcards), threads(wildcards), settings["align_chunk_size"], gpu=bool(GPU)
    )


def backend(wildcards, input=None):
    """What computes: another one gives the same but for the last bits, which is no reason to compute again."""
    return BACKEND


def every(*kinds):
    """Input function: these files of all recordings. As lists, every job would build them all when it parses."""
    return lambda wildcards: [path for kind in kinds for path in session.paths(kind)]


def sources(wildcards):
    """Input function: the recordings."""
    return [recording.path for recording in session.recordings]


def missing(wildcards):
    """What is wanted of the recordings and is not there; Snakemake does not miss a file that nobody asks for.

    What is there is found through the session's results. To ask for it too would double the time of `snakemake -n`.
    """
    return [path for path in every(*RECORDING_RESULTS)(wildcards) if not os.path.exists(path)]


def chosen_average(wildcards):
    """The average of the center that select_center chose."""
    chosen = checkpoints.select_center.get().output.center
    return session.path("average", read_center(chosen, os.stat(chosen).st_mtime_ns))


@lru_cache
def read_center(path, mtime_ns):
    """The name in center.json, read once for all recordings; its time tells whether it is still the same file."""
    with open(path, encoding="utf-8") as file:
        return json.load(file)["center"]


def export_movie(wildcards):
    """How the session's movie is read: scales as the settings or the files tell, of the compensated frames."""
    rates = {recording.frame_rate for recording in session.recordings}
    sizes = {recording.pixel_size for recording in session.recordings}
    rate = settings["export"]["frame_rate"] or (rates.pop() if len(rates) == 1 else None)
    return {
        "frame_rate": rate and rate / options["bin_size"],
        "pixel_size": sizes.pop() if len(sizes) == 1 else None,
        "interpolation": options["interpolation_method"],
    }


def nwb_facts(wildcards):
    """What an NWB file must say of the session, or may."""
    rate = export_movie(wildcards)["frame_rate"]
    facts = settings["export"] | {"frame_rate": rate and float(rate * options["bin_size"])}
    missing = [f"export.{key}" for key in ("session_start_time", "frame_rate") if not facts[key]]
    if missing:
        raise WorkflowError(
            "export_nwb: NWB files must say when the session began and how many frames a second has; give "
            f"{' and '.join(missing)} in the settings."
        )
    return facts


def nwb_statistics(wildcards):
    """The rigid part of the motion for NWB; what is missing for NWB is told here, before anything is computed."""
    nwb_facts(wildcards)
    if session.external:
        raise WorkflowError(
            "export_nwb needs every frame's shift, which other tools do not tell: set stage1 to 'own'."
        )
    if not options["save_meta_info"]:
        raise WorkflowError(
            "export_nwb needs every frame's shift: set flow_options.save_meta_info to true, which compensates again."
        )
    return session.paths("statistics")


def given_average(wildcards):
    """Input function: the average of a recording that another tool made, if there is one."""
    return session.given_average(wildcards.recording) or []


# Without a function where possible: it would be called, by way of `inspect`, for every recording.
CENTER_AVERAGE = session.path("average", session.known_center) if session.known_center else chosen_average


def damage_stamp(name):
    """Input: the file that makes a rule run again, once its outputs were found damaged."""
    if workflow.is_main_process and name not in STAMPED:
        return []

    def existing_stamp(wildcards):
        of_recording = session.path("status", wildcards.recording) if wildcards.keys() else None
        path = stamp(os.path.dirname(of_recording or session.path("final_status")), name)
        return [path] if os.path.exists(path) else []

    return existing_stamp


def tell_failures():
    """Name the recordings whose jobs failed for good, with the end of their logs: the last words of a failed run."""
    failed = [
        [job for level in part.toposorted for job in level] if part.is_group() else [part]
        for part in workflow.scheduler.failed
    ]
    if failed:
        told = [
            (
                jobs[0].wildcards.get("recording", ""),
                [(job.rule.name, log) for job in jobs for log in job.log],
            )
            for jobs in failed
        ]
        logger.error(failure_report(told, len(session.names), since=STARTED / 1e9))


def claim_results():
    """Stop if another run writes this session's results, from whichever folder it was started."""
    try:
        claim(session.output_root)
    except (ClaimedError, OSError) as error:
        raise WorkflowError(f"{error}.") from None


onstart:
    claim_results()
    look_often()
    interrupt_at_once()


onsuccess:
    trust(FOLDERS, VERIFIED, since_ns=STARTED)


onerror:
    cancel_forgotten()
    trust(FOLDERS, VERIFIED, since_ns=STARTED)
    tell_failures()
