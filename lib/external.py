"""Recordings whose stage 1 another tool has done: folders with a compensated movie and its masks.

Where the order of the axes is not written in a file, pictures beside it tell: the temporal average and the reference
are (H, W). h5py and NumPy are imported only when something is new: the workflow is parsed for every job.
"""

import os
from itertools import permutations
from pathlib import Path

from lib.discovery import SessionError
from lib.sources import Source

MOVIES = ("compensated.hdf5", "compensated.HDF5")
VALID = "idx.hdf"
AVERAGE = "temporal_average.npy"
PICTURES = (AVERAGE, "reference_frame.npy")
ORDERS = tuple("".join(order) for order in permutations("TYX"))
COMPARED = 50  # frames averaged to tell rows from columns


def find_external(output_root: str) -> tuple[list[Source], list[str]]:
    """Return the recordings among the folders of `output_root`, sorted by name, and problems in words.

    Raises
    ------
    SessionError
        There are none.
    """
    try:
        folders = sorted(entry.path for entry in os.scandir(output_root) if entry.is_dir() and entry.name[0] != ".")
    except FileNotFoundError:
        folders = []
    sources, problems = [], []
    for folder in folders:
        # told by the listing, because some file systems take both names for the same file
        inside = set(os.listdir(folder))
        movies = [name for name in MOVIES if name in inside]
        if not movies and VALID not in inside:
            continue  # something else
        if len(movies) != 1:
            found = "both" if movies else "neither"
            problems.append(f"{folder}: found {found} of {' and '.join(MOVIES)}; expected one of them.")
        elif VALID not in inside:
            problems.append(
                f"{folder}: there is no {VALID}, the valid pixels of every frame; let the other tool write it "
                "(save_valid_idx in pyflowreg), or take the folder away."
            )
        else:
            sources.append(Source(os.path.basename(folder), ((os.path.join(folder, movies[0]),),)))
    if not sources and not problems:
        raise SessionError(
            f"stage1: 'external' takes every folder in '{output_root}' ({os.path.abspath(output_root)}) that holds "
            f"{' or '.join(MOVIES)} and {VALID} as a recording, but there is none. Set 'output_root' to the folder of "
            "these folders, or 'stage1' to 'own'."
        )
    return sources, problems


def check_external(movie: str, dataset: str | list[str] | None, axes: str | None) -> str:
    """Check a recording's files against each other, and return the order of the axes, such as "TYX".

    Parameters
    ----------
    movie
        The compensated movie.
    dataset
        Its datasets, see `lib.recording.open_recording`.
    axes
        The order, if the user tells it; what a file says of itself goes before it.

    Raises
    ------
    RecordingError
        A file cannot be read, the masks are not those of the movie, or nothing tells the order of the axes.
    """
    from lib.recording import RecordingError, open_recording

    axes = find_axes(movie, dataset, axes)
    with open_recording(movie, dataset=dataset, axes=axes) as frames, open_masks(movie, axes) as masks:
        shape, found = ((r.frames, r.height, r.width) for r in (frames, masks))
        if shape != found:
            raise RecordingError(
                f"{masks.path}: the masks are (frames, height, width) = {found}, but the frames in {movie} are "
                f"{shape}; copy the file that belongs to this movie, or correct `axes`, which is '{axes}' here"
            )
    return axes


def open_masks(movie: str | Path, axes: str):
    """Open the masks of a movie's frames, of the first channel; their axes are those of the movie."""
    from lib.recording import open_recording

    path = Path(movie).with_name(VALID)
    with open_recording(path) as all_channels:
        first = all_channels.header.dataset[0]
    return open_recording(path, dataset=first, axes=axes)


def find_axes(movie: str, dataset: str | list[str] | None, told: str | None = None) -> str:
    """Return the order of a movie's axes: as its file says, as it is told, or as the pictures beside it show.

    Raises
    ------
    RecordingError
        Nothing tells it.
    """
    import h5py

    from lib.readers.hdf5 import stored_axes
    from lib.recording import RecordingError, open_recording

    with open_recording(movie, dataset=dataset) as recording:
        name = recording.header.dataset[0]
    with h5py.File(movie, "r") as file:
        if stored := stored_axes(file[name]):
            return stored
        shape = file[name].shape
    if told:
        return told
    pictures = _pictures(Path(movie).parent)
    fits = [order for order in ORDERS if all(_sizes(order, shape)[1:] == image.shape[:2] for image in pictures)]
    if pictures and not fits:
        raise RecordingError(
            f"{movie}: {name} is {shape}, which has no two axes of the size of the pictures beside it, "
            f"{pictures[0].shape[:2]}; copy the files that belong together"
        )
    if pictures and len(fits) > 1:  # square frames, or as many frames as rows
        fits = _most_alike(movie, dataset, fits, pictures[0])
    if len(fits) != 1:
        raise RecordingError(
            f"{movie}: {name} is {shape}, and nothing tells which of its axes are time, height and width; set `axes` "
            "to 'TYX' if it is (frames, height, width) for Python, or to 'TXY' if MATLAB wrote it as height x width x "
            f"frames; a {AVERAGE} (height, width) beside it would tell, too"
        )
    return fits[0]


def _sizes(order: str, shape: tuple[int, ...]) -> tuple[int, ...]:
    """Return frames, height and width of a dataset whose axes have this order."""
    return tuple(shape[order.index(axis)] for axis in "TYX")


def _pictures(folder: Path) -> list:
    import numpy as np

    from lib.recording import RecordingError

    found = []
    for path in (folder / name for name in PICTURES):
        if path.exists():
            try:
                found.append(np.load(path))
            except (OSError, ValueError) as error:
                raise RecordingError(f"{path} cannot be read: {error}; copy it again or delete it") from error
    return found


def _most_alike(movie: str, dataset, orders: list[str], picture) -> list[str]:
    """Return the order in which the mean of some frames is like the picture; none if no order stands out."""
    import numpy as np

    from lib.recording import open_recording

    scores = []
    for order in orders:
        with open_recording(movie, dataset=dataset, axes=order) as recording:
            step = max(recording.frames // COMPARED, 1)
            mean = recording.read_frames(range(0, recording.frames, step)).mean(axis=0, dtype=np.float64)
        mean, image = (a.reshape(*a.shape[:2], -1).mean(axis=-1).ravel() for a in (mean, picture))
        deviations = [a - a.mean() for a in (mean, image)]
        scale = np.prod([np.linalg.norm(d) for d in deviations])
        scores.append(float(deviations[0] @ deviations[1] / scale) if scale else 0.0)
    best = int(np.argmax(scores))
    others = [score for i, score in enumerate(scores) if i != best]
    # the mean of these frames differs from the average by their noise, in a wrong order by what they show
    return [orders[best]] if scores[best] > 0.5 and 1 - scores[best] < (1 - max(others)) / 2 else []


def given_average(folder: str) -> str | None:
    """Return the path of the average that the other tool made, if there is one."""
    path = os.path.join(folder, AVERAGE)
    return path if os.path.exists(path) else None
