"""NWB files are written by pynwb."""

from datetime import UTC, datetime

import h5py
import numpy as np
import pytest
from pynwb import NWBHDF5IO, NWBFile
from pynwb.ophys import OpticalChannel, TwoPhotonSeries

from lib.recording import Header, RecordingError, read_header
from tests.movies import FRAMES, HEIGHT, WIDTH, movie, read_all


def write(path, spacing=(1.5e-6, 2e-6), **series):
    """Write one TwoPhotonSeries per keyword, with what it is told."""
    nwb = NWBFile("test", "id", datetime(2026, 1, 1, tzinfo=UTC))
    device = nwb.create_device("microscope")
    plane = nwb.create_imaging_plane(
        name="plane",
        optical_channel=OpticalChannel(name="GCaMP", description="green", emission_lambda=510.0),
        description="layer 2/3",
        device=device,
        excitation_lambda=920.0,
        indicator="GCaMP8",
        location="V1",
        grid_spacing=spacing,
        grid_spacing_unit="meters",
    )
    for name, told in series.items():
        nwb.add_acquisition(TwoPhotonSeries(name=name, imaging_plane=plane, unit="n.a.", **told))
    with NWBHDF5IO(path, "w") as file:
        file.write(nwb)
    return path


def as_nwb(frames):
    """(T, H, W) as (T, x, y)."""
    return np.swapaxes(frames, 1, 2)


def test_a_series(tmp_path):
    path = write(tmp_path / "a.nwb", TwoPhotonSeries={"data": as_nwb(movie()), "rate": 15.5})
    np.testing.assert_array_equal(read_all(path), movie())
    size = pytest.approx((2.0, 1.5))  # [y, x]; it is written as x, y
    header = read_header(path)
    assert header.pixel_size == size
    assert header == Header(
        *("nwb", FRAMES, HEIGHT, WIDTH, 1, "uint16", ("TwoPhotonSeries",), 15.5, header.pixel_size),
    )


def test_time_stamps_and_planes(tmp_path):
    volume = np.stack([movie(), movie()[:, ::-1], movie()[:, :, ::-1]], axis=-1)  # (T, H, W, Z)
    path = write(
        tmp_path / "volume.nwb",
        spacing=(1e-6, 1e-6, 5e-6),
        Volume={"data": as_nwb(volume), "timestamps": np.arange(FRAMES) / 4 + 7},
    )
    header = read_header(path)
    assert (header.frames, header.planes, header.frame_rate) == (3 * FRAMES, 3, 4.0)
    assert header.pixel_size == pytest.approx((1.0, 1.0))
    for plane in range(3):
        np.testing.assert_array_equal(read_all(path, plane=plane + 1), volume[..., plane])
    with pytest.raises(RecordingError, match="holds 3 planes; set `planes`"):
        read_all(path)


def test_several_series(tmp_path):
    frames = movie(channels=2)
    path = write(
        tmp_path / "two.nwb",
        green={"data": as_nwb(frames[..., 0]), "rate": 30.0},
        red={"data": as_nwb(frames[..., 1]), "rate": 30.0},
    )
    with pytest.raises(RecordingError, match=r"two\.nwb: expected one .*green \(12, 14, 10\) .*red .*`dataset`"):
        read_header(path)
    with pytest.raises(RecordingError, match="expected .* blue .*it holds .*green.*correct `dataset`"):
        read_header(path, dataset="blue")
    np.testing.assert_array_equal(read_all(path, dataset="red"), frames[..., 1])
    np.testing.assert_array_equal(read_all(path, dataset=["green", "acquisition/red"]), frames)


def test_what_cannot_be_used(tmp_path):
    path = write(
        tmp_path / "outside.nwb",
        Movie={
            "external_file": ["raw/a_00001.tif"],
            "format": "external",
            "rate": 30.0,
            "num_samples": FRAMES,
            "dimension": [WIDTH, HEIGHT],
        },
    )
    with pytest.raises(RecordingError, match=r"outside\.nwb: the images of Movie are not .* but in raw/a_00001\.tif"):
        read_header(path)
    path = write(tmp_path / "none.nwb")
    with pytest.raises(RecordingError, match=r"none\.nwb: expected one .* it holds no TwoPhotonSeries"):
        read_header(path)
    path = write(tmp_path / "bool.nwb", Movie={"data": as_nwb(movie()), "rate": 30.0})
    with h5py.File(path, "r+") as file:
        del file["acquisition/Movie/data"]
        file["acquisition/Movie/data"] = as_nwb(movie()) > 50
    with pytest.raises(RecordingError, match=r"bool\.nwb has pixels of type bool"):
        read_header(path)
    path = write(tmp_path / "cut.nwb", Movie={"data": as_nwb(movie()), "rate": 30.0})
    path.write_bytes(path.read_bytes()[:-3000])
    with pytest.raises(RecordingError, match=r"cut\.nwb cannot be opened as NWB: .*truncated"):
        read_header(path)
