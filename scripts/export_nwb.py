"""Write the session as an NWB file."""

from datetime import datetime
from pathlib import Path

import numpy as np

from lib.export import SessionMovie, check_mask, open_session_movie, read_field
from lib.logs import job_log
from lib.masks import read_mask
from lib.nwb import NwbRecording, write_nwb
from lib.progress import Progress


def export_nwb(
    *,
    movie: SessionMovie,
    output: str | Path,
    recordings: list[tuple[str, str, int]],
    statistics: list[str],
    flows: list[str],
    fields: list[np.ndarray],
    mask: np.ndarray,
    average: np.ndarray,
    facts: dict,
) -> None:
    """Write `movie` and what belongs to it to `output`.

    Parameters
    ----------
    movie : SessionMovie
    output : path
    recordings : list of (str, str, int)
        Name, raw file and number of raw frames.
    statistics, flows : list of path
        Per recording statistics.npz, and w.h5 or nothing at all.
    fields : list of (H, W, 2) float32
        Per recording its displacement into the common frame, pixels.
    mask, average : (H, W) bool, (H, W[, C])
        The session's mask and the center's average.
    facts : dict
        The keys of `export` in the configuration; `frame_rate` is that of the raw recordings.
    """
    check_mask(mask)
    began = datetime.fromisoformat(facts["session_start_time"])
    about = facts | {
        "session_start_time": began if began.tzinfo else began.astimezone(),
        "frame_rate": movie.frame_rate,
        "raw_frame_rate": facts["frame_rate"],
    }
    described = []
    for i, (name, source, frames) in enumerate(recordings):
        with np.load(statistics[i]) as values:
            within = np.stack([values["translation_x"], values["translation_y"]], axis=-1)
        between = fields[i].mean(axis=(0, 1), dtype=np.float64)
        # displacements are backward, NWB wants what moves the frame
        shift = -(within + between)
        described.append(NwbRecording(name, source, frames, shift, fields[i], flows[i] if flows else None))
    with Progress(movie.frames, "NWB") as progress:
        write_nwb(movie, output, recordings=described, mask=mask, average=average, about=about, progress=progress)


def main(snakemake):
    given, params = snakemake.input, snakemake.params
    with (
        job_log(snakemake.log[0]),
        open_session_movie(
            given.movies,
            given.get("fields"),
            given.get("center"),
            threads=snakemake.threads,
            **snakemake.params.movie,
        ) as movie,
    ):
        export_nwb(
            movie=movie,
            output=snakemake.output.nwb,
            recordings=params.recordings,
            statistics=given.statistics,
            flows=given.get("flows") or [],
            fields=[read_field(path) for path in given.to_reference],
            mask=read_mask(given.mask),
            average=np.load(given.average),
            facts=params.facts,
        )


if __name__ == "__main__":
    main(snakemake)
