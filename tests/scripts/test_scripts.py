"""Scripts are imported and called without Snakemake."""

import ast
import json
import os
import time
from pathlib import Path
from types import SimpleNamespace

import h5py
import numpy as np
import pytest
import tifffile
from scipy.ndimage import gaussian_filter

import scripts.compensate_recording
from lib.compensation import compensate
from lib.config import load
from lib.preparation import flow_params, read_reference
from lib.recording import RecordingError, open_recording
from lib.simulate import simulate_session
from scripts.align_average import align_average
from scripts.align_recording import align_recording
from scripts.average_recording import average_recording
from scripts.compensate_recording import compensate_recording, main
from scripts.intersect_masks import session_arrays
from scripts.select_center import OutlierRecordingError, select_center
from scripts.summarize_session import choices

REPOSITORY = Path(__file__).parents[2]
NOT_FRAMES = ("buffer_size", "save_w", "save_w_compact", "save_valid_idx", "save_meta_info")


def options(**changes) -> dict:
    settings = load(
        {"flow_options": {"quality_setting": "fast"} | changes}, REPOSITORY / "config" / "session.schema.json"
    )
    return {key: value for key, value in settings["flow_options"].items() if key not in NOT_FRAMES}


@pytest.fixture(scope="module")
def source(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("source")
    simulate_session(folder, names=["rec"], frames=12, shape=(48, 56))
    return folder / "rec.tif"


class Files(list):
    """Stands in for Snakemake's named inputs and outputs."""

    def __init__(self, **named):
        super().__init__(named.values())
        self.__dict__.update(named)

    def get(self, name):
        return self.__dict__.get(name)


def job(source: Path, folder: Path, **input) -> SimpleNamespace:
    """Stands in for the object Snakemake gives to compensate_recording."""
    return SimpleNamespace(
        rule="compensate_recording",
        log=[str(folder / "job.log")],
        input=Files(recording=str(source), **input),
        output=Files(compensated=str(folder / "compensated.hdf5"), status=str(folder / "status.json")),
        params=SimpleNamespace(
            options=options(), kernel="1", reading={}, batch=5, backend={"wanted": "numba"}, scratch=None
        ),
        threads=2,
    )


def test_one_backend_does_not_continue_what_another_began(source, tmp_path, monkeypatch):
    class StopError(Exception):
        pass

    class StopAtOnce:
        def resume(self, frames):
            self.found = frames

        def update(self, frames):
            raise StopError

    def stopped(*args, **how):
        compensate(*args, **how | {"progress": StopAtOnce()})

    job = {"source": source, "options": options(), "kernel": "1", "batch": 4}
    compensate_recording(folder=tmp_path / "whole", backend="cupy", **job)
    with monkeypatch.context() as patch, pytest.raises(StopError):
        patch.setattr("scripts.compensate_recording.compensate", stopped)
        compensate_recording(folder=tmp_path / "mixed", backend="numba", **job)
    assert (tmp_path / "mixed" / ".partial" / "journal.jsonl").exists()
    facts = compensate_recording(folder=tmp_path / "mixed", backend="cupy", **job)
    assert facts["versions"]["backend"] == "cupy"
    for name in ("compensated.hdf5", "reference_frame.npy"):
        assert (tmp_path / "mixed" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()


def test_no_script_uses_postponed_annotations():
    """Snakemake puts code before a script's own, and then that import is a syntax error."""
    for path in (REPOSITORY / "scripts").glob("*.py"):
        imports = [node for node in ast.walk(ast.parse(path.read_text("utf-8"))) if isinstance(node, ast.ImportFrom)]
        assert "__future__" not in [node.module for node in imports], path


def test_lib_knows_nothing_of_snakemake():
    for path in (REPOSITORY / "lib").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            assert not any(name.split(".")[0] == "snakemake" for name in names), path


def test_compensate_recording(source, tmp_path):
    facts = compensate_recording(
        source=source, folder=tmp_path, options=options(), kernel="1", batch=5, threads=2, save_flow=True
    )
    assert (facts["stage1"], facts["frames"], facts["shape"], facts["dtype"]) == ("done", 12, [48, 56], "uint16")
    assert facts["parameters"] == options() and facts["source"]["bytes"] == source.stat().st_size
    raw = tifffile.imread(source).astype(float)
    with h5py.File(tmp_path / "compensated.hdf5") as file:
        registered = file["ch1"][:].astype(float)
    inner = (slice(None), slice(12, -12), slice(12, -12))
    assert registered[inner].mean(0).std() > raw[inner].mean(0).std()  # sharper
    with h5py.File(tmp_path / "w.h5") as file:
        assert np.abs(file["u"][:]).max() > 1


def test_reference_image_is_used_as_it_is(source, tmp_path):
    image = np.random.default_rng(0).uniform(0, 1000, (48, 56))
    np.save(tmp_path / "image.npy", image)
    compensate_recording(
        source=source,
        folder=tmp_path / "out",
        options=options(),
        kernel="1",
        reference_image=tmp_path / "image.npy",
    )
    np.testing.assert_array_equal(np.load(tmp_path / "out" / "reference_frame.npy"), image)


def test_alpha_is_found_or_given(source, tmp_path):
    def calibration(name, **changes):
        facts = compensate_recording(source=source, folder=tmp_path / name, options=options(**changes), kernel="1")
        found = json.loads((tmp_path / name / "calibration.json").read_text("utf-8"))
        assert (facts["alpha"], facts["predicted_epe"]) == (found["alpha"], found["predicted_epe"])
        return found

    auto, other = calibration("auto"), calibration("other", alpha=3, bin_size=2, sigma=[1, 1, 1])
    assert auto["automatic"] and auto["predicted_epe"] == min(point["epe"] for point in auto["curve"])
    assert not other["automatic"] and other["alpha"] == [3, 3]
    assert len(other["curve"]) == 1 and (other["curve"][0]["alpha"], other["curve"][0]["ratio"]) == (3, 1)
    assert other["curve"][0]["epe"] == other["predicted_epe"] > 0


def test_a_resumed_job_goes_on_with_its_calibration(source, tmp_path, monkeypatch):
    how = {"source": source, "folder": tmp_path, "options": options(), "kernel": "1"}

    def stop(*_, **__):
        raise KeyboardInterrupt

    with monkeypatch.context() as broken, pytest.raises(KeyboardInterrupt):
        broken.setattr(scripts.compensate_recording, "compensate", stop)
        compensate_recording(**how)
    path = tmp_path / ".partial" / "calibration.json"
    kept = json.loads(path.read_text("utf-8")) | {"alpha": [7.0, 5.0]}
    path.write_text(json.dumps(kept), "utf-8")
    assert compensate_recording(**how)["alpha"] == [7.0, 5.0]
    assert json.loads((tmp_path / "calibration.json").read_text("utf-8")) == kept


@pytest.mark.parametrize("frames", [1, 2])
def test_a_recording_of_hardly_any_frames(source, tmp_path, frames, caplog):
    movie = tifffile.imread(source)[:frames]
    tifffile.imwrite(tmp_path / "short.tif", movie, photometric="minisblack", metadata={"axes": "TYX"})
    facts = compensate_recording(source=tmp_path / "short.tif", folder=tmp_path, options=options(), kernel="1")
    found = json.loads((tmp_path / "calibration.json").read_text("utf-8"))
    assert facts["stage1"] == "done" and all(value > 0 for value in found["alpha"])
    if frames == 1:  # it is its own reference
        assert (
            found["predicted_epe"] is None and "the reference itself" in found["note"] and found["note"] in caplog.text
        )


def test_read_reference(tmp_path):
    stack = np.random.default_rng(0).integers(0, 99, (3, 20, 30)).astype(np.uint16)
    tifffile.imwrite(tmp_path / "stack.tif", stack, photometric="minisblack")
    np.testing.assert_allclose(read_reference(tmp_path / "stack.tif", (20, 30)), stack.mean(0))
    with pytest.raises(RecordingError, match=r"stack.tif: .* shape \(20, 30\), but frames have \(20, 31\)"):
        read_reference(tmp_path / "stack.tif", (20, 31))


def test_flow_params_take_what_concerns_them():
    params = flow_params(options(alpha=[3, 4], eta=0.7))
    assert (params.quality, params.alpha, params.eta) == ("fast", (3, 4), 0.7)


def test_main_tells_the_reason_of_a_failure(source, tmp_path, capsys):
    with pytest.raises(SystemExit):
        main(job(tmp_path / "missing.tif", tmp_path))
    assert "missing.tif" in capsys.readouterr().err
    assert "Traceback" in (tmp_path / "job.log").read_text("utf-8")


def test_average_recording(tmp_path):
    movie = np.random.default_rng(0).integers(0, 60000, (7, 20, 30)).astype(np.uint16)
    valid = np.full(movie.shape, 255, np.uint8)
    valid[3, 5, 6] = 0
    for name, data in (("compensated.hdf5", movie), ("idx.hdf", valid)):
        with h5py.File(tmp_path / name, "w") as file:
            file["ch1"] = data
    files = {"compensated": tmp_path / "compensated.hdf5", "valid": tmp_path / "idx.hdf"}
    outlier = np.arange(7) == 3
    mean, mask, fraction, facts = average_recording(**files, outlier=outlier)
    np.testing.assert_allclose(mean, movie.mean(0))
    assert mean.dtype == np.float64 and not mask[5, 6] and mask.sum() == mask.size - 1
    assert fraction.dtype == np.float32 and fraction[5, 6] == np.float32(6 / 7) and (fraction == 1).sum() == 599
    told = {"frames": [3], "valid_pixels": 599, "valid_pixels_without_them": 600}
    assert facts == told | {"excluded": False}
    mean, mask, excluded_fraction, facts = average_recording(**files, outlier=outlier, exclude_outliers=True)
    np.testing.assert_allclose(mean, movie[~outlier].mean(0))
    assert mask.all() and facts == told | {"excluded": True}
    np.testing.assert_array_equal(excluded_fraction, fraction)


def test_select_center(caplog):
    rng = np.random.default_rng(0)
    common = gaussian_filter(rng.normal(size=(64, 64)), 1.5)
    averages = [common + rng.normal(size=common.shape) * common.std() * noise for noise in (1.5, 2, 0.1, 1.5)]
    given = {"names": list("abcd"), "averages": averages}
    found = select_center(**given, center="auto")
    assert (found["center"], found["automatic"], found["warning"]) == ("c", True, None)
    assert set(found["scores"]) == set("abcd") and not found["not_belonging"] and not caplog.records
    found = select_center(**given, center="middle")
    assert (found["center"], found["automatic"], found["better"]) == ("b", False, "c")
    assert "c would be a better center than b" in found["warning"] == caplog.records[-1].message
    assert select_center(**given, center="c")["better"] is None

    given["averages"][0] = gaussian_filter(rng.normal(size=(64, 64)), 1.5)
    with pytest.raises(OutlierRecordingError) as error:
        select_center(**given, center="middle", labels=["a.tif", "b.tif", "c.tif", "d.tif"])
    assert "1 of 4 recordings does not match" in str(error.value) and "  a.tif: its average" in str(error.value)
    assert "allow_outlier_recordings" in str(error.value)
    found = select_center(**given, center="middle", allow_outliers=True)
    assert found["not_belonging"] == ["a"] and not found["scores"]["a"]["belongs"]
    assert any("  a: its average" in record.message for record in caplog.records)


def test_align_average_finds_a_shift():
    settings = load({"sigma_smooth": 2}, REPOSITORY / "config" / "session.schema.json")
    rng = np.random.default_rng(0)
    scene = np.fft.ifft2(
        np.fft.fft2(rng.normal(size=(96, 96))) * np.exp(-np.hypot(*np.meshgrid(*[np.fft.fftfreq(96) * 40] * 2)))
    ).real
    w = align_average(average=np.roll(scene, (2, -3), (0, 1)), center=scene, options=settings)
    np.testing.assert_allclose(w[20:-20, 20:-20].mean((0, 1)), (-3, 2), atol=0.3)


@pytest.mark.parametrize("suffix", [".tif", ".h5"])
def test_align_recording(tmp_path, suffix):
    movie = np.random.default_rng(0).integers(1, 999, (7, 20, 30)).astype(np.uint16)
    with h5py.File(tmp_path / "compensated.hdf5", "w") as file:
        file["ch1"] = movie
    w = np.zeros((20, 30, 2), np.float32)
    w[..., 0] = 2
    output = tmp_path / f"aligned{suffix}"
    with open_recording(tmp_path / "compensated.hdf5") as compensated:
        align_recording(
            movie=compensated,
            output=output,
            w=w,
            fill=np.full((20, 30), 7, np.uint16),
            interpolation="cubic",
            chunk=3,
            threads=2,
        )
    if suffix == ".tif":
        aligned = tifffile.imread(output)
    else:
        with h5py.File(output) as file:
            aligned = file["ch1"][:]
    np.testing.assert_array_equal(aligned[..., :-2], movie[..., 2:])
    assert (aligned[..., -2:] == 7).all()


def test_session_arrays():
    masks = [np.ones((4, 5), bool), np.ones((4, 5), bool)]
    aligned = [masks[0].copy(), masks[1].copy()]
    aligned[0][0], aligned[1][:, 0] = False, False
    fields = [np.stack([np.full((4, 5), i, np.float32), np.full((4, 5), -i, np.float32)], -1) for i in range(2)]
    averages = [np.zeros((4, 5)), np.ones((4, 5))]
    arrays = session_arrays(center=1, masks=masks, aligned_masks=aligned, displacements=fields, averages=averages)
    assert arrays["final_valid"].sum() == 3 * 4 and arrays["middle_idx"] == 1
    assert arrays["displacement_fields_u"][1].max() == 1 and arrays["displacement_fields_v"][1].min() == -1
    assert arrays["reference_average"].min() == 1 and arrays["per_seq_valid_masks"].dtype == bool


def test_choices_tell_which_were_made_automatically():
    facts = {"alpha_x": 3.0, "alpha_y": 4.0, "alpha_chosen": "automatic", "backend": "numba"}
    looks = [SimpleNamespace(facts=facts), SimpleNamespace(facts=facts | {"alpha_x": 5.0})]
    center = {"center": "b", "how": "the middle", "automatic": False}
    given = {"stage1": "own", "reference_frames": "0:20", "flow_backend": "auto"}
    assert choices(given, center, looks) == [
        ("center", "b: the middle", False),
        ("alpha, smoothness of the flow", "3 x, 4 y, 5 x, 4 y", True),
        ("reference_frames", "0:20", False),
        ("flow_backend", "numba", True),
    ]
    external = choices(given | {"stage1": "external"}, center, [])
    assert [what for what, _, _ in external] == ["center", "motion within the recordings"]


def test_changed_source_starts_afresh(source, tmp_path):
    """The partial result of another version of the recording is not continued."""
    copy = tmp_path / "rec.tif"
    copy.write_bytes(source.read_bytes())
    compensate_recording(source=copy, folder=tmp_path / "a", options=options(), kernel="1")
    before = (tmp_path / "a" / "compensated.hdf5").read_bytes()
    tifffile.imwrite(copy, tifffile.imread(source)[::-1], photometric="minisblack")
    os.utime(copy, ns=(time.time_ns(), time.time_ns()))
    compensate_recording(source=copy, folder=tmp_path / "a", options=options(), kernel="1")
    assert (tmp_path / "a" / "compensated.hdf5").read_bytes() != before
