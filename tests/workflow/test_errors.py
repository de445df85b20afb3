"""What stops a run, when, and what it says."""

import numpy as np
import tifffile

from .conftest import snakemake, write_config


def write_movie(path, shape=(12, 64, 72), dtype=np.uint16):
    tifffile.imwrite(path, np.ones(shape, dtype), photometric="minisblack")


def test_headers_stop_the_run_and_name_every_offender(fresh):
    write_movie(fresh / "small.tif", (12, 32, 72))
    write_movie(fresh / "floats.tif", dtype=np.float32)
    (fresh / "empty.tif").write_bytes(b"")
    (fresh / "text.tif").write_text("no movie")
    (fresh / "more").mkdir()
    write_movie(fresh / "more" / "a_1.tif")
    write_config(fresh, pattern=["*.tif", "more/*.tif"], center="nobody.tif")
    for arguments in (["-n"], []):
        run = snakemake(fresh, *arguments)
        assert run.returncode != 0 and not run.jobs
        for said in (
            "small.tif: height is 32, but 64",
            "floats.tif: dtype is float32, but uint16",
            "empty.tif is empty",
            "text.tif cannot be opened",
            "more/a_1.tif: 2 recordings share the stem 'a_1'",
            "center: 'nobody.tif' is not among the recordings",
        ):
            assert said in run.output, run.output
        assert "Traceback" not in run.output
    assert not (fresh / "logs").exists()


def test_no_recording_matches(fresh):
    run = snakemake(fresh, "-n", config=["pattern=*.tiff"])
    assert run.returncode != 0 and "matches '*.tiff'" in run.output


def test_wrong_settings_are_all_named(fresh):
    write_config(fresh, centre="a_1", flow_options={"quality_setting": "best", "alpha": -1})
    run = snakemake(fresh, "-n")
    assert run.returncode != 0
    assert "centre: there is no such key; did you mean 'center'?" in run.output
    assert "flow_options.quality_setting: found 'best', allowed is one of 'fast'" in run.output
    assert "flow_options.alpha: found -1, allowed is 'auto', a number above 0" in run.output


def test_bad_pixels_stop_only_their_recording_and_name_the_frame(fresh):
    for path in fresh.glob("*.tif"):
        movie = tifffile.imread(path).astype(np.float32)
        if path.stem == "c_3":
            movie[11, 5, 5] = np.nan
        tifffile.imwrite(path, movie, photometric="minisblack")
    run = snakemake(fresh, "--keep-going", "stage1")
    assert run.returncode != 0
    assert "c_3.tif" in run.output and "frame 11" in run.output
    log = (fresh / "logs/compensate_recording/c_3.log").read_text("utf-8")
    assert "Traceback" in log and "frame 11" in log
    assert (fresh / "compensated_outputs/a_1/temporal_average.npy").exists()
    assert not (fresh / "compensated_outputs/c_3/compensated.hdf5").exists()
    last_words = run.output[run.output.index("1 of 3 recordings failed") :]
    assert "c_3: compensate_recording failed, the end of logs/compensate_recording/c_3.log:" in last_words
    assert "frame 11" in last_words and "a_1" not in last_words
