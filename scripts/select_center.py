"""Choose the recording that defines the common frame, and stop where recordings do not belong together."""

import logging
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from lib import status
from lib.center import better_center, choose, compare, explain_outliers, reduced
from lib.logs import job_log
from lib.store import write_json

logger = logging.getLogger(__name__)


class OutlierRecordingError(ValueError):
    """Recordings of the session do not match the others."""


def select_center(
    *,
    names: Sequence[str],
    averages: Iterable[np.ndarray],
    center: str,
    allow_outliers: bool = False,
    labels: Sequence[str] | None = None,
) -> dict:
    """Return the center, how it was chosen, and how alike all recordings are.

    Parameters
    ----------
    names : sequence of str
        Of the recordings, sorted.
    averages : iterable of (H, W[, C]) arrays
        Their averages; one at a time is in memory.
    center : str
        "middle", "auto" or a recording's name.
    allow_outliers : bool
        Go on with recordings that match no others.
    labels : sequence of str, optional
        What to call the recordings in messages.

    Raises
    ------
    OutlierRecordingError
        Recordings do not belong, and are not allowed to.
    """
    names = list(names)
    images = np.stack([reduced(average) for average in averages])
    known = None if center == "auto" else choose(center, names)[0]
    scores = compare(names, images, known)
    chosen, how = choose(center, names, scores)
    if outliers := explain_outliers(scores, labels):
        if not allow_outliers:
            raise OutlierRecordingError(
                f"{outliers}\nAnother field of view, the wrong file, or nothing to see in it? Look at its "
                "temporal_average.npy. Take it out of the session (move the file, or narrow 'pattern' or 'recordings') "
                "and run again; what is done of the others is kept. With 'allow_outlier_recordings: true' the run goes "
                "on with it."
            )
        logger.warning("%s", outliers)
    mean = dict(zip(names, scores.mean_correlation, strict=True))
    better, warning = better_center(scores, chosen), None
    if better:
        warning = (
            f"{better} would be a better center than {chosen}: its average correlates by {mean[better]:.2f} with the "
            f"others in the mean, that of {chosen} by {mean[chosen]:.2f}. Set 'center: {better}' or 'center: auto'."
        )
        logger.warning("%s", warning)
    return {
        "center": chosen,
        "automatic": center == "auto",
        "how": how,
        "better": better,
        "warning": warning,
        "outliers": outliers,
        "compared_with": [names[i] for i in scores.panel],
        "not_belonging": [name for name, belongs in zip(names, scores.belongs, strict=True) if not belongs],
        "scores": scores.table(),
    }


def main(snakemake):
    with job_log(snakemake.log[0]):
        folder = Path(snakemake.output.center).parent
        status.begin(folder, snakemake.rule)
        params = snakemake.params
        found = select_center(
            names=params.names,
            averages=(np.load(path) for path in snakemake.input.averages),
            center=params.center,
            allow_outliers=params.allow_outliers,
            labels=params.labels,
        )
        write_json(snakemake.output.center, found)
        status.record(folder, snakemake.rule, snakemake.output)


if __name__ == "__main__":
    main(snakemake)
