"""How much memory and time jobs need, told from the headers alone (standard library only).

Schedulers kill what exceeds its request, so the figures are on the safe side: 1.3 to 2.7 times the memory and
several times the time measured with the benchmarks of the rules. Every further attempt asks for more.
"""

import re
from math import ceil

from lib.session import RecordingInfo

# On a cluster two Snakemakes wait for the job (one, if it is not SLURM), with 100 MB each that they share with nobody.
# The interpreter with NumPy, SciPy, Numba and HDF5 takes 250; the first job, which compiles the kernels, 490, of which
# 120 are libraries that everything on a node shares.
BASE_MB = 200 + 450
BATCH_BYTES = 2**24  # raw frames of one batch
GPU_MB = 1000  # what CuPy and the driver need of the host's memory
GPU_PIXELS = 2**24  # of full frames in a batch for a GPU

FINEST_LEVEL = {"quality": 0, "balanced": 4, "fast": 6}  # as in `lib.flow.params`, which is costly to import

# Milliseconds for a frame of 512 x 512 on one slow core, about three times what was measured.
FRAME_MS = {"fast": 60, "balanced": 120, "quality": 600}


def batch_frames(recording: RecordingInfo, threads: int, buffer_size: int | str = "auto", *, gpu: bool = False) -> int:
    """Return how many frames to compensate at once: what fits `BATCH_BYTES`, at least two for each thread; for a GPU
    as many as it can make use of."""
    if buffer_size != "auto":
        return buffer_size
    most = BATCH_BYTES // frame_bytes(recording)
    if gpu:
        most = max(most, GPU_PIXELS // (recording.height * recording.width))
    return min(recording.frames, max(2 * threads, most, 1))


def frame_bytes(recording: RecordingInfo) -> int:
    """Return the bytes of one frame as it is read."""
    bits = 32 if recording.dtype == "float16" else int(re.search(r"\d+$", recording.dtype)[0])  # "uint16"
    return recording.height * recording.width * recording.channels * bits // 8


def base_mb(recording: RecordingInfo) -> float:
    """Return the memory in MB of any job that reads the recording's files: some formats are read as a whole."""
    header = recording.header
    if header is None or not header.in_memory:
        return BASE_MB
    return BASE_MB + 2 * header.frames * header.channels * frame_bytes(recording) / recording.channels / 1e6


def compensation_mb(
    recording: RecordingInfo, threads: int, batch: int, attempt: int, *, options: dict, gpu: bool = False
) -> int:
    """Memory of compensate_recording in MB: batches in flight, a workspace per thread, the reference; for a GPU also
    the pinned copies of two batches.

    Parameters
    ----------
    options
        `flow_options` of the configuration: the workspace is as large as the finest level that is solved.
    """
    pixels, channels = recording.height * recording.width, recording.channels
    level = options["min_level"] if options["min_level"] >= 0 else FINEST_LEVEL[options["quality_setting"]]
    solved = options["eta"] ** (2 * level)  # part of the pixels
    # bytes, after what `lib.flow` allocates; a batch is read, two are computed, two wait to be written
    at_once = max(pixels, 2**18)  # `lib.flow.backend.AT_ONCE`
    workspace = pixels * solved * (84 + 40 * channels) + at_once * (24 + 4 * channels)
    reference = pixels * channels * (40 + 130 * solved)
    frame = (1 + options["bin_size"]) * frame_bytes(recording) + (10 if options["save_w"] else 2) * pixels
    if gpu:
        frame += 9 * pixels
    in_flight = min(5 * batch, recording.frames) * frame
    # before that 16 frames with their flow, and 4 to 16 simulated ones, see `lib.flow.calibrate`; positions and samples
    # of the one that a thread is making
    calibration = pixels * (16 * (12 + 6 * channels) + min(max(5 * 2**19 / pixels, 4), 16) * (12 + 4 * channels))
    calibration += threads * pixels * (44 + 16 * channels)
    data = 1.2 * (threads * workspace + reference + max(in_flight, calibration)) / 1e6
    return _grown(base_mb(recording) + GPU_MB * gpu + data, attempt)


def compensation_minutes(recording: RecordingInfo, threads: int, quality: str, attempt: int) -> int:
    """Time of compensate_recording in minutes, the reference (up to 450 frames twice) included."""
    pixels = recording.height * recording.width * recording.channels
    frames = recording.frames + 1000
    return _grown(10 + frames * FRAME_MS[quality] * pixels / 512**2 / threads / 60_000, attempt)


def streaming_mb(recording: RecordingInfo, attempt: int) -> int:
    """Memory in MB of a job that reads a movie in blocks and keeps some images in double precision."""
    images = recording.height * recording.width * recording.channels * 8 * 30
    return _grown(BASE_MB + (4 * BATCH_BYTES + images) / 1e6, attempt)


def aligning_mb(recording: RecordingInfo, chunk: int, attempt: int, *, gpu: bool = False) -> int:
    """Memory of align_recording in MB: frames before and after, several chunks in flight."""
    frames = (10 if gpu else 6) * chunk * frame_bytes(recording) / 1e6
    return streaming_mb(recording, attempt) + _grown(base_mb(recording) - BASE_MB + GPU_MB * gpu + frames, attempt)


def between_mb(recording: RecordingInfo, attempt: int, *, gpu: bool = False) -> int:
    """Memory of align_average in MB: the flow's workspace at full size and a dozen images."""
    pixels = recording.height * recording.width
    return _grown(BASE_MB + GPU_MB * gpu + pixels * (600 + 200 * recording.channels) / 1e6, attempt)


def comparing_mb(recordings: tuple[RecordingInfo, ...], attempt: int) -> int:
    """Memory of select_center in MB: one average, and all of them at reduced size with their transforms."""
    average = recordings[0].height * recordings[0].width * recordings[0].channels * 8
    return _grown(BASE_MB + (6 * average + len(recordings) * 2**20) / 1e6, attempt)


def streaming_minutes(recording: RecordingInfo, attempt: int) -> int:
    """Time in minutes of a job that reads or writes a movie once, on a slow disk (20 MB/s)."""
    return _grown(5 + recording.frames * frame_bytes(recording) / 20e6 / 60, attempt)


def export_mb(recordings: tuple[RecordingInfo, ...], attempt: int) -> int:
    """Memory in MB of a job that streams a whole session: blocks in flight, and a displacement per recording."""
    fields = sum(r.height * r.width * 8 for r in recordings) / 1e6
    return streaming_mb(recordings[0], attempt) + _grown(6 * BATCH_BYTES / 1e6 + fields, attempt)


def export_minutes(recordings: tuple[RecordingInfo, ...], attempt: int) -> int:
    """Time in minutes of a job that reads, warps and writes all recordings, twice where values must be looked at."""
    return 2 * sum(streaming_minutes(recording, attempt) for recording in recordings)


def session_mb(recordings: tuple[RecordingInfo, ...], attempt: int) -> int:
    """Memory in MB of a job that holds masks, displacements and averages of all recordings, twice."""
    pixels = sum(r.height * r.width * (2 + 8 + 8 * r.channels) for r in recordings)
    return _grown(max(map(base_mb, recordings)) + 2 * pixels / 1e6, attempt)


def summary_mb(recordings: tuple[RecordingInfo, ...], processes: int, attempt: int) -> int:
    """Memory of summarize_session in MB: some images of a recording per process, small pictures of all."""
    pixels = recordings[0].height * recordings[0].width
    images = pixels * recordings[0].channels * 8 * 24
    return _grown(BASE_MB + (processes * (150e6 + images) + len(recordings) * (3e6 + 8 * pixels)) / 1e6, attempt)


def summary_minutes(recordings: tuple[RecordingInfo, ...], attempt: int) -> int:
    """Time of summarize_session in minutes: a few seconds for each recording."""
    return _grown(10 + len(recordings) * 10 / 60, attempt)


def _grown(amount: float, attempt: int) -> int:
    return ceil(amount * (1 + 0.5 * (attempt - 1)))
