"""Write the session's valid pixels as one matrix, frames by pixels."""

from pathlib import Path

from lib.export import SessionMovie, open_session_movie, write_traces
from lib.logs import job_log
from lib.masks import read_mask
from lib.progress import Progress


def export_traces(*, movie: SessionMovie, output: str | Path, mask, names: list[str]) -> None:
    """Write the pixels of `movie` inside `mask` (H, W) bool; `names` are those of the recordings."""
    with Progress(movie.frames, "traces") as progress:
        write_traces(movie, output, mask, names, progress=progress)


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
        mask = read_mask(snakemake.input.mask)
        export_traces(movie=movie, output=snakemake.output.traces, mask=mask, names=list(snakemake.params.names))


if __name__ == "__main__":
    main(snakemake)
