"""Look at every recording of the session: a table, the pages of the report, a picture, and previews."""

import csv
import json
import multiprocessing
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import numpy as np

from lib import status
from lib.figures import session_picture
from lib.logs import job_log
from lib.masks import read_mask
from lib.pages.contents import recording_page, session_page
from lib.quality import mask_costs, one_channel, structured_channel
from lib.store import atomic_path
from lib.summary import COLUMNS, Files, Look, as_text, look_at, table_rows

MOST_COLUMNS = 8  # recordings in the picture


@contextmanager
def processes(number: int) -> Iterator[Callable[[Callable, Iterable], list]]:
    """A `map` over several processes: Matplotlib and GIFs hold the interpreter's lock."""
    if number == 1:
        yield lambda function, items: list(map(function, items))
        return
    with ProcessPoolExecutor(number, multiprocessing.get_context("fork")) as pool:
        yield lambda function, items: list(pool.map(function, items))


def make(page_or_picture: Callable[[], str | bytes]) -> str | bytes:
    """Call it, in another process."""
    return page_or_picture()


def look_briefly(files: Files) -> Look:
    """Look at a recording that has no page: its numbers."""
    return look_at(files).without_pictures()


def choices(given: dict, center: dict, looks: list[Look]) -> list[tuple[str, str, bool]]:
    """What there was to choose: (what, value, whether it was chosen automatically).

    Parameters
    ----------
    given : dict
        What the configuration says of `reference_frames`, `flow_backend` and `stage1`.
    center : dict
        The content of center.json.
    looks : list of Look
    """
    found = [("center", f"{center['center']}: {center['how']}", center["automatic"])]
    if given["stage1"] == "external":
        return [*found, ("motion within the recordings", "corrected by another tool", False)]
    alphas = sorted({(look.facts["alpha_x"], look.facts["alpha_y"]) for look in looks if look.facts["alpha_x"]})
    if alphas:
        text = ", ".join(f"{x:.3g} x, {y:.3g} y" for x, y in alphas[:6]) + (", ..." if len(alphas) > 6 else "")
        automatic = any(look.facts["alpha_chosen"] == "automatic" for look in looks)
        found.append(("alpha, smoothness of the flow", text, automatic))
    reference = given["reference_frames"]
    automatic = reference == "auto"
    text = "frames of the whole recording that belong together" if automatic else str(reference)
    found.append(("reference_frames", text, automatic))
    used = ", ".join(sorted({str(look.facts["backend"]) for look in looks}))
    return [*found, ("flow_backend", used, given["flow_backend"] == "auto")]


def write_table(path: str, rows: list[dict]) -> None:
    with atomic_path(path) as temporary, open(temporary, "w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, COLUMNS)
        writer.writeheader()
        writer.writerows(map(as_text, rows))


def write(path: str, content: str | bytes) -> None:
    with atomic_path(path) as temporary:
        temporary.write_bytes(content.encode() if isinstance(content, str) else content)


def gather_files(snakemake, center: str) -> list[Files]:
    """Return where the files of each recording are."""
    names, given, params = list(snakemake.params.names), snakemake.input, snakemake.params
    previews = snakemake.output.get("previews")
    if isinstance(previews, str):  # the folder of all
        previews = [str(Path(previews, f"{name}_preview.gif")) for name in names]
    paths = {
        "status": params.status,
        "average": given.averages,
        "mask": given.masks,
        "to_reference": given.to_reference,
        "compensated": given.get("compensated"),
        "reference": given.get("references"),
        "statistics": given.get("statistics"),
        "raw": params.raw,
        "reading": params.reading,
        "preview": previews,
    }
    paths = {key: list(value) for key, value in paths.items() if value}
    return [
        Files(name, center_average=given.averages[names.index(center)], **{key: v[i] for key, v in paths.items()})
        for i, name in enumerate(names)
    ]


def column(look: Look) -> dict:
    """What the picture of the session shows of a recording."""
    return {
        "name": look.name,
        "before": look.pictures.get("before"),
        "after": look.pictures.get("after", look.pictures["average"]),
        "displacement": look.statistics.get("mean_disp"),
    }


def main(snakemake):
    with job_log(snakemake.log[0]):
        folder = Path(snakemake.output.table).parent
        status.begin(folder, snakemake.rule)
        given, made = snakemake.input, snakemake.output
        names = list(snakemake.params.names)
        center = json.loads(Path(given.center).read_text(encoding="utf-8"))
        pages = list(made.get("pages") or [])
        files = gather_files(snakemake, center["center"])
        with processes(snakemake.threads) as in_processes:
            looks = in_processes(look_at if pages else look_briefly, files)
            costs = mask_costs(map(read_mask, given.aligned_masks))
            rows = table_rows(looks, center, costs)
            write_table(made.table, rows)

            average = np.load(files[0].center_average)
            average, mask = one_channel(average, structured_channel(average)), read_mask(given.final_mask)
            shown = np.unique(np.linspace(0, len(names) - 1, min(len(names), MOST_COLUMNS)).round().astype(int))
            columns = [column(looks[i] if pages else look_at(files[i])) for i in shown]
            # the largest first, so that no process is left with it at the end
            contents = {
                made.figure: partial(
                    session_picture, columns=columns, average=average, mask=mask, center=center["center"]
                ),
                made.page: partial(
                    session_page,
                    looks=looks,
                    rows=rows,
                    center=center,
                    costs=costs,
                    average=average,
                    valid_fraction=float(mask.mean()),
                    choices=choices(snakemake.params.choices, center, looks),
                ),
            }
            if pages:
                each = zip(pages, looks, rows, strict=True)
                contents |= {page: partial(recording_page, look, row, center["center"]) for page, look, row in each}
            for path, content in zip(contents, in_processes(make, contents.values()), strict=True):
                write(path, content)
        status.record(folder, snakemake.rule, [path for path in made if path != made.table])


if __name__ == "__main__":
    main(snakemake)
