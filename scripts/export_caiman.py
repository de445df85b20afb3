"""Write the session as CaImAn's memory maps, one per channel."""

from pathlib import Path

from lib.export import SessionMovie, open_session_movie, write_mmap
from lib.logs import job_log
from lib.masks import read_mask
from lib.progress import Progress


def export_caiman(*, movie: SessionMovie, outputs: list[str | Path], mask) -> None:
    """Write one file per channel of `movie`, 0 outside `mask` (H, W) bool."""
    with Progress(movie.frames, "CaImAn") as progress:
        write_mmap(movie, outputs, mask, progress=progress)


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
        export_caiman(movie=movie, outputs=list(snakemake.output), mask=read_mask(snakemake.input.mask))


if __name__ == "__main__":
    main(snakemake)
