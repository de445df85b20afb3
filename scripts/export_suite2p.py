"""Write the session as registered data of suite2p: data.bin, and what makes suite2p skip its registration."""

import logging
from pathlib import Path
from typing import Any

import numpy as np

from lib.export import SessionMovie, int16_gain, largest_rectangle, open_session_movie, write_int16
from lib.logs import job_log
from lib.masks import read_mask
from lib.progress import Progress
from lib.store import atomic_path, write_json

logger = logging.getLogger(__name__)

# What suite2p 1.x looks up in db.npy, with its defaults: a registered movie of one plane.
DB = {
    "input_format": "binary",
    "nplanes": 1,
    "nrois": 1,
    "functional_chan": 1,
    "keep_movie_raw": False,
    "batch_size": 500,
    "swap_order": False,
    "iplane": 0,
}
MOVIES = ("data.bin", "data_chan2.bin")


def export_suite2p(*, movie: SessionMovie, folder: Path, mask: np.ndarray, names: list[str]) -> None:
    """Write the movie, cropped to the largest rectangle inside the mask, into `folder` (".../suite2p/plane0").

    Parameters
    ----------
    movie : SessionMovie
        suite2p knows two channels: the first is the functional one, further than the second are left out.
    folder : path
    mask : (H, W) bool
        The session's mask.
    names : list of str
        Of the recordings.
    """
    crop, gain = largest_rectangle(mask), int16_gain(movie)
    paths = [folder / name for name in MOVIES[: movie.channels]]
    if movie.channels > len(MOVIES):
        logger.warning("suite2p takes two channels; channels 3 to %d are left out", movie.channels)
    with Progress(movie.frames, "suite2p") as progress:
        means = write_int16(movie, paths, crop, gain, progress=progress)
    about = describe(folder=folder, movie=movie, means=means)
    for name, content in about.items():
        with atomic_path(folder / name) as temporary:
            np.save(temporary, content, allow_pickle=True)
    rows, columns = crop
    facts = {
        "rows": [rows.start, rows.stop],
        "columns": [columns.start, columns.stop],
        "gain": gain,
        "first_frames": dict(zip(names, movie.first_frames, strict=True)),
    }
    write_json(folder / "session.json", facts)
    logger.info("rows %d:%d and columns %d:%d, gain %g", rows.start, rows.stop, columns.start, columns.stop, gain)


def describe(*, folder: Path, movie: SessionMovie, means: np.ndarray) -> dict[str, dict[str, Any]]:
    """Return the content of ops.npy (suite2p 0.14), db.npy and settings.npy (1.x) for movies in `folder`.

    Parameters
    ----------
    folder : path
        Where data.bin is; it is noted as an absolute path, as suite2p does.
    movie : SessionMovie
    means : (h, w, channels)
        Mean images of what was written.
    """
    folder = folder.resolve()
    root = str(folder.parents[1])
    height, width, channels = means.shape
    files = dict(zip(("reg_file", "reg_file_chan2"), (str(folder / name) for name in MOVIES[:channels]), strict=False))
    place = {"data_path": [root], "save_path0": root, "save_folder": "suite2p", "save_path": str(folder), **files}
    size = {"Ly": height, "Lx": width, "nframes": movie.frames, "nchannels": channels}
    rate = {} if movie.frame_rate is None else {"fs": movie.frame_rate}
    if not rate:
        logger.warning(
            "The frame rate is unknown: set ops['fs'] (0.14) or settings['fs'] (1.x), or suite2p takes 10 Hz"
        )
    images = {"meanImg": means[..., 0].astype(np.float32)}
    if channels > 1:
        images["meanImg_chan2"] = means[..., 1].astype(np.float32)
    ops = place | size | rate | images
    ops |= {"ops_path": str(folder / "ops.npy"), "do_registration": 0, "nplanes": 1, "functional_chan": 1}
    ops |= {"yrange": [0, height], "xrange": [0, width]}
    return {
        "ops.npy": ops,
        "db.npy": place | size | DB,
        "settings.npy": rate | {"run": {"do_registration": 0}},
    }


def main(snakemake):
    with (
        job_log(snakemake.log[0]),
        open_session_movie(
            snakemake.input.movies,
            snakemake.input.get("fields"),
            snakemake.input.get("center"),
            threads=snakemake.threads,
            **snakemake.params.movie,
        ) as movie,
    ):
        export_suite2p(
            movie=movie,
            folder=Path(snakemake.output.movie).parent,
            mask=read_mask(snakemake.input.mask),
            names=list(snakemake.params.names),
        )


if __name__ == "__main__":
    main(snakemake)
