"""The report, the table and the previews, also of sessions in which there is little to see."""

import base64
import csv
import json
import re

import h5py
import numpy as np
import tifffile
from PIL import Image

from lib.simulate import simulate_session

from .conftest import NAMES, snakemake, write_config

# What a browser would fetch: sources and style sheets that are no data.
FETCHED = re.compile(r"""(?:<(?:img|script|iframe|video|source)[^>]*\ssrc|<link[^>]*\shref)=["'](?!data:)([^"']*)""")


def results_of(report):
    """{path: (labels, content)} of what a report of Snakemake's holds."""
    text = report.read_text("utf-8")
    assert not FETCHED.findall(text.split('<script id="results">')[0])
    found = re.search(r'<script id="results">\s*var results = (.*?);\s*</script>', text, re.DOTALL)
    held = json.loads(found[1])
    return {
        path: (each["labels"], base64.b64decode(each["data_uri"].split("base64,")[1]), len(each["data_uri"]))
        for path, each in held.items()
    }


def table(folder):
    text = (folder / "final_results/session_summary.csv").read_text("utf-8")
    assert "nan" not in text.lower() and "inf" not in text.lower().replace("information", "")
    return list(csv.DictReader(text.splitlines()))


def test_the_report_holds_every_page_and_needs_nothing_else(session):
    run = snakemake(session, "--report", "report.html", "--report-after-run")
    assert run.returncode == 0, run.output
    held, final = results_of(session / "report.html"), session / "final_results"
    pages = {f"final_results/report/recordings/{name}.html": name for name in NAMES}
    session_page = "final_results/report/session.html"
    assert set(held) == {session_page, "final_results/summary.png", "final_results/session_summary.csv", *pages}
    for path, (labels, content, size) in held.items():
        assert content == (session / path).read_bytes()
        if path.endswith(".html"):
            assert size < 2e6, "Chromium shows nothing in a frame whose address is longer"
            assert not FETCHED.findall(content.decode())
        if path in pages:
            assert labels == {"recording": pages[path]}

    page = held[session_page][1].decode()
    rows = {row["recording"]: row for row in table(session)}
    for name in NAMES:
        assert f">{name}" in page and rows[name]["reason"].replace("'", "&#39;") in page
        assert rows[name]["verdict"] in ("good", "look", "bad")
    for title in ("Session at a glance", "Session mask", "Into the common frame", "How alike the averages are"):
        assert title in page
    assert re.search(r"reference_frames</td>.*?automatic", page, re.DOTALL)
    assert page.count("data:image/jpeg") == 1 + 3 * 2  # the mask; overlays and arrows of all but the center
    for path, name in pages.items():
        page, center = held[path][1].decode(), name == NAMES[1]
        assert (
            page.count("data:image/gif") == 1 and page.count("data:image/png") == 2
        )  # preview; motion and calibration
        assert page.count("data:image/jpeg") == (2 if center else 5)
        assert base64.b64encode((final / f"{name}_preview.gif").read_bytes()).decode() in page
        assert (final / f"{name}_preview.gif").stat().st_size < 3e6
    row = rows[NAMES[0]]
    assert float(row["predicted_error_px"]) > 0 and float(row["alpha_x"]) > 0
    assert float(row["correlation_after"]) > float(row["correlation_before"]) > 0
    assert float(row["sharpness_after"]) > float(row["sharpness_before"]) > 0
    assert float(row["center_correlation_after"]) > float(row["center_correlation_before"])
    assert float(row["mask_lost_fraction"]) >= float(row["mask_lost_alone_fraction"]) >= 0
    assert [rows[name]["center"] for name in NAMES] == ["false", "true", "false"]
    assert snakemake(session, "-n").nothing_to_do

    (final / f"{NAMES[2]}_preview.gif").unlink()
    run = snakemake(session)
    assert run.jobs == {("summarize_session", "")} and (final / f"{NAMES[2]}_preview.gif").exists()


def test_one_frame_without_structure(tmp_path):
    tifffile.imwrite(tmp_path / "flat.tif", np.full((1, 40, 48), 7, np.uint16), photometric="minisblack")
    write_config(tmp_path, center="auto", flow_options={"quality_setting": "fast"})
    run = snakemake(tmp_path, "--report", "report.html", "--report-after-run")
    assert run.returncode == 0, run.output
    (row,) = table(tmp_path)
    assert row["frames"] == "1" and row["center"] == "true" and row["verdict"] == "bad"
    assert "do not resemble each other" in row["reason"]
    assert len(results_of(tmp_path / "report.html")) == 4
    with Image.open(tmp_path / "final_results/flat_preview.gif") as movie:
        assert movie.n_frames == 1


def test_an_empty_channel_and_no_statistics(tmp_path):
    simulate_session(tmp_path, names=["x", "y"], frames=8, shape=(64, 72), between_rigid=1.0)
    for name in "xy":
        movie = tifffile.imread(tmp_path / f"{name}.tif")
        with h5py.File(tmp_path / f"{name}.h5", "w") as file:
            file["ch1"], file["ch2"] = np.zeros_like(movie), movie
    write_config(tmp_path, pattern="*.h5", flow_options={"quality_setting": "fast", "save_meta_info": False})
    run = snakemake(tmp_path)
    assert run.returncode == 0, run.output
    rows = table(tmp_path)
    assert all(float(row["correlation_after"]) > 0.5 for row in rows)
    assert {row[key] for row in rows for key in ("mean_displacement_px", "drift_px")} == {""}
    picture = np.asarray(Image.open(tmp_path / "final_results/summary.png").convert("L"), float)
    assert picture.std() > 30


def test_outputs_of_many_recordings(tmp_path):
    """Snakemake keeps all inputs of a job with each of its outputs: of thousands there must not be thousands."""
    for number in range(41):
        tifffile.imwrite(tmp_path / f"r{number}.tif", np.zeros((2, 16, 16), np.uint16), photometric="minisblack")
    write_config(tmp_path)
    run = snakemake(tmp_path, "-n", "final_results/session_summary.csv")
    job = run.output[run.output.index("rule summarize_session:") :]
    assert re.search(r"    output: (.*)", job)[1].split(", ") == [
        "final_results/report/session.html",
        "final_results/summary.png",
        "final_results/session_summary.csv",
        "final_results/previews",
    ]
