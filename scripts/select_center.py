"""Choose the recording that defines the common frame."""

from pathlib import Path

import numpy as np

from lib import status
from lib.center import choose, score_table
from lib.logs import job_log
from lib.store import write_json


def select_center(*, averages: dict[str, np.ndarray], center: str) -> dict:
    """Return the chosen name, how it was chosen, and how alike all recordings are.

    Parameters
    ----------
    averages : dict of (H, W[, C]) arrays
        The average of each recording.
    center : str
        "middle", "auto" or a recording's name.
    """
    names = list(averages)
    if center == "auto":
        scores = score_table(averages)
        name, how = choose(center, names, scores)
    else:
        name, how = choose(center, names)
        scores = score_table(averages, name)
    return {"center": name, "how": how, "scores": scores}


def main(snakemake):
    with job_log(snakemake.log[0]):
        folder = Path(snakemake.output.center).parent
        status.begin(folder, snakemake.rule)
        names, paths = snakemake.params.names, snakemake.input.averages
        averages = {name: np.load(path) for name, path in zip(names, paths, strict=True)}
        write_json(snakemake.output.center, select_center(averages=averages, center=snakemake.params.center))
        status.record(folder, snakemake.rule, snakemake.output)


if __name__ == "__main__":
    main(snakemake)
