"""TIFF of every flavour is written by tifffile, and read back bit by bit."""

import json
import struct
from pathlib import Path

import h5py
import numpy as np
import pytest
import tifffile

from lib.recording import Header, Recording, RecordingError, open_recording, read_header
from lib.sources import Source
from tests.movies import FRAMES, HEIGHT, WIDTH, movie, read_all, write_ome_set

TIFFS = {
    "plain": {},
    "without metadata": {"metadata": None},
    "ImageJ": {"imagej": True},
    "BigTIFF": {"bigtiff": True},
    "OME": {"ome": True},
    "big-endian": {"byteorder": ">"},
    "deflate": {"compression": "zlib", "predictor": True},
    "LZW without metadata": {"compression": "lzw", "metadata": None},
    "zstd OME": {"compression": "zstd", "ome": True},
    "several strips": {"rowsperstrip": 3, "compression": "zlib"},
    "tiles": {"tile": (16, 16)},
    "packbits BigTIFF": {"compression": "packbits", "bigtiff": True},
    "z-stack by name": {"imagej": True, "metadata": {"axes": "ZYX"}},
}


@pytest.mark.parametrize("kind", TIFFS)
def test_tiff_kinds(tmp_path, kind):
    path = tmp_path / "Maus 3 – größer.tif"
    tifffile.imwrite(path, movie(), photometric="minisblack", **TIFFS[kind])
    np.testing.assert_array_equal(read_all(path), movie())
    header = read_header(path)
    assert (header.frames, header.height, header.width, header.channels) == (FRAMES, HEIGHT, WIDTH, 1)
    assert header.dtype == "uint16"


def test_tiff_pages_with_gaps(tmp_path):
    """Page header, pixels, page header, pixels: what acquisition programs write."""
    path = tmp_path / "pages.tif"
    with tifffile.TiffWriter(path) as writer:
        for frame in movie():
            writer.write(frame, metadata=None)
    np.testing.assert_array_equal(read_all(path), movie())


def test_tiff_written_block_by_block(tmp_path):
    path = tmp_path / "blocks.tif"
    with tifffile.TiffWriter(path) as writer:
        for block in np.split(movie(), [5, 6]):
            writer.write(block, photometric="minisblack")
    np.testing.assert_array_equal(read_all(path), movie())


@pytest.mark.parametrize("compression", [None, "zlib"])
def test_tiff_with_trailing_axis_of_one(tmp_path, compression):
    path = tmp_path / "one.tif"
    tifffile.imwrite(path, movie()[..., None], compression=compression)
    np.testing.assert_array_equal(read_all(path), movie())


@pytest.mark.parametrize("how", [{"imagej": True}, {"ome": True}, {"ome": True, "compression": "zlib"}])
def test_tiff_channels(tmp_path, how):
    path = tmp_path / "two.tif"
    planes = np.moveaxis(movie(channels=2), -1, 1)
    tifffile.imwrite(path, planes, photometric="minisblack", metadata={"axes": "TCYX"}, **how)
    np.testing.assert_array_equal(read_all(path), movie(channels=2))


def test_tiff_channel_by_channel(tmp_path):
    path = tmp_path / "two.ome.tif"
    planes = np.moveaxis(movie(channels=2), -1, 0)
    tifffile.imwrite(path, planes, photometric="minisblack", metadata={"axes": "CTYX"})
    np.testing.assert_array_equal(read_all(path), movie(channels=2))


def write_scanimage(path: Path, planes: np.ndarray, channels: int, planned: str, more: str = "") -> None:
    """A BigTIFF as ScanImage 2016 and later write it: a static header, one page header per image."""
    settings = (
        "SI.VERSION_MAJOR = 2023\n"
        f"SI.hChannels.channelSave = [{' '.join(str(c + 1) for c in range(channels))}]\n"
        f"SI.hStackManager.framesPerSlice = {planned}\n{more}"
    ).encode() + b"\0"
    roi = b"{}\0"
    static = struct.pack("<IIII", 0x07030301, 4, len(settings), len(roi)) + settings + roi
    first = 16 + len(static)
    with tifffile.TiffWriter(path, bigtiff=True) as writer:
        for plane in planes:
            writer.write(plane, metadata=None, software="SI.VERSION_MAJOR = 2023", rowsperstrip=HEIGHT)
    # put the static header behind the file's own and shift everything it points to
    data = path.read_bytes()
    shifted = bytearray(data[:8] + struct.pack("<Q", struct.unpack("<Q", data[8:16])[0] + len(static)))
    shifted += static + data[16:]
    offset = struct.unpack("<Q", shifted[8:16])[0]
    assert offset >= first
    while offset:
        (count,) = struct.unpack_from("<Q", shifted, offset)
        for tag in range(count):
            at = offset + 8 + 20 * tag
            code, kind, number = struct.unpack_from("<HHQ", shifted, at)
            size = {2: 1, 3: 2, 4: 4, 5: 8, 16: 8}[kind] * number
            if size > 8 or code == 273:  # a value elsewhere, or StripOffsets: where the pixels are
                (target,) = struct.unpack_from("<Q", shifted, at + 12)
                struct.pack_into("<Q", shifted, at + 12, target + len(static))
        (following,) = struct.unpack_from("<Q", shifted, offset + 8 + 20 * count)
        if following:
            following += len(static)
            struct.pack_into("<Q", shifted, offset + 8 + 20 * count, following)
        offset = following
    path.write_bytes(shifted)


@pytest.mark.parametrize("planned", [str(FRAMES), "1000", "inf"])
@pytest.mark.parametrize("channels", [1, 2])
def test_scanimage(tmp_path, channels, planned):
    """The planned number of frames is not the number in the file: acquisitions are stopped and split."""
    path = tmp_path / "scan.tif"
    planes = np.moveaxis(movie("int16", channels).reshape(FRAMES, HEIGHT, WIDTH, channels), -1, 1)
    write_scanimage(path, planes.reshape(-1, HEIGHT, WIDTH), channels, planned)
    assert read_header(path).format == "tiff-scanimage"
    np.testing.assert_array_equal(read_all(path), movie("int16", channels))


def test_scanimage_with_an_incomplete_last_frame(tmp_path):
    path = tmp_path / "scan.tif"
    write_scanimage(path, movie("int16")[:7], 2, "1000")
    with pytest.raises(RecordingError, match="scan.tif holds 7 images in 2 channels"):
        read_header(path)


VOLUMES = "SI.hFastZ.enable = true\nSI.hStackManager.numSlices = 3\nSI.hRoiManager.scanVolumeRate = 7.5\n"


@pytest.mark.parametrize("flyback", [0, 1])
@pytest.mark.parametrize("channels", [1, 2])
def test_scanimage_volumes(tmp_path, channels, flyback):
    """Pages run through channels, planes, time; what is recorded on the way back is in the file, but in no plane."""
    volumes, planes = 4, 3
    rng = np.random.default_rng(1)
    pages = rng.integers(0, 999, (volumes, planes + flyback, channels, HEIGHT, WIDTH)).astype("int16")
    more = VOLUMES + f"SI.hStackManager.numFramesPerVolumeWithFlyback = {planes + flyback}\n"
    more += "SI.hChannels.channelName = {'green' 'red'}\n"
    flat = pages.reshape(-1, HEIGHT, WIDTH)
    write_scanimage(tmp_path / "scan.tif", flat[: len(flat) - channels], channels, "1", more)  # stopped too early
    header = read_header(tmp_path / "scan.tif")
    assert (header.planes, header.flyback, header.frame_rate) == (planes, flyback, 7.5)
    assert header.channel_names == ("green", "red")[:channels]
    for plane in (1, 2, 3):
        expected = pages[: volumes if flyback else volumes - 1, plane - 1]
        expected = expected[:, 0] if channels == 1 else np.moveaxis(expected, 1, -1)
        np.testing.assert_array_equal(read_all(tmp_path / "scan.tif", plane=plane), expected)
    with pytest.raises(RecordingError, match=r"scan\.tif holds 3 planes; set `planes` to 'split'"):
        open_recording(tmp_path / "scan.tif")
    with pytest.raises(RecordingError, match=r"scan\.tif holds 3 planes, but `planes` is 4"):
        open_recording(tmp_path / "scan.tif", plane=4)


def test_scanimage_slow_stack(tmp_path):
    more = "SI.hFastZ.enable = false\nSI.hStackManager.numSlices = 3\n"
    write_scanimage(tmp_path / "stack.tif", movie("int16"), 1, "4", more)
    with pytest.raises(RecordingError, match=r"stack\.tif is a stack of 3 slices with 4 frames.*imaged in turn"):
        read_header(tmp_path / "stack.tif")


@pytest.mark.parametrize("axes", ["TZCYX", "ZCTYX", "CTZYX", "TZYX"])
@pytest.mark.parametrize("compression", [None, "zlib"])
def test_ome_planes(tmp_path, axes, compression):
    sizes = {"T": 5, "Z": 2, "C": 3, "Y": HEIGHT, "X": WIDTH}
    full = np.random.default_rng(2).integers(0, 999, [sizes[axis] for axis in axes]).astype(np.uint16)
    channels = [{"Name": name} for name in ("a", "b", "c")] if "C" in axes else [{}]
    told = {"axes": axes, "Channel": {"Name": [channel.get("Name", "x") for channel in channels]}}
    path = tmp_path / "volume.ome.tif"
    tifffile.imwrite(path, full, photometric="minisblack", metadata=told, compression=compression)
    header = read_header(path)
    assert (header.frames, header.planes, header.channels) == (10, 2, 3 if "C" in axes else 1)
    assert header.channel_names == (("a", "b", "c") if "C" in axes else ("x",))
    wanted = np.einsum(f"{axes}->{'TZYXC' if 'C' in axes else 'TZYX'}", full)
    for plane in (1, 2):
        np.testing.assert_array_equal(read_all(path, plane=plane), wanted[:, plane - 1])


def test_ome_set_is_read_as_a_whole_and_names_its_files(tmp_path):
    paths = write_ome_set(tmp_path)
    np.testing.assert_array_equal(read_all(paths[0]), movie())
    header = read_header(paths[0])
    assert header.companions == (str(paths[1]), str(paths[2])) and header.frame_rate == pytest.approx(10)
    paths[2].unlink()
    with pytest.raises(RecordingError, match=r"set_0.*one file of an OME set, and 4 of the set's 12 images"):
        read_header(paths[0])


def test_files_of_an_ome_set_joined_by_name(tmp_path):
    """A recording that is made of the files takes from each what is in it."""
    paths = [str(path) for path in write_ome_set(tmp_path)]
    with Recording(Source("set", (tuple(paths),))) as recording:
        np.testing.assert_array_equal(recording.read(0, FRAMES), movie())
        assert recording.header.companions == ()


def write_with_scales(path: Path, kind: str) -> None:
    """30 Hz (ScanImage: 2 frames averaged into one while scanning at 60 Hz), 0.5 x 0.8 micrometres."""
    match kind:
        case "ImageJ":
            told = {"axes": "TYX", "finterval": 1 / 30, "unit": "um"}
            tifffile.imwrite(path, movie(), imagej=True, resolution=(1 / 0.8, 2.0), metadata=told)
        case "OME":
            told = {"axes": "TYX", "TimeIncrement": 1000 / 30, "TimeIncrementUnit": "ms"}
            told |= {"PhysicalSizeX": 800, "PhysicalSizeXUnit": "nm", "PhysicalSizeY": 0.5, "PhysicalSizeYUnit": "µm"}
            tifffile.imwrite(path, movie(), ome=True, metadata=told)
        case "ScanImage":
            corners = "[-5.6 -2.5;5.6 -2.5;5.6 2.5;-5.6 2.5]"
            told = "SI.hRoiManager.scanFrameRate = 60\nSI.hScan2D.logAverageFactor = 2\n"
            write_scanimage(path, movie(), 1, "inf", f"{told}SI.hRoiManager.imagingFovUm = {corners}\n")
        case "HDF5":
            with h5py.File(path, "w") as file:
                file["ch1"] = movie()
                file.attrs.update({"frame_rate": 30.0, "pixel_size": (0.5, 0.8)})


@pytest.mark.parametrize("kind", ["ImageJ", "OME", "ScanImage", "HDF5"])
def test_frame_rate_and_pixel_size(tmp_path, kind):
    path = tmp_path / ("movie.h5" if kind == "HDF5" else "movie.tif")
    write_with_scales(path, kind)
    header = read_header(path)
    assert header.frame_rate == pytest.approx(30)
    assert header.pixel_size == pytest.approx((0.5, 0.8))
    assert Header.from_dict(json.loads(json.dumps(header.as_dict()))) == header
    with open_recording(path, bin_size=3) as recording:
        assert recording.scales == {"frame_rate": pytest.approx(10), "pixel_size": header.pixel_size}


@pytest.mark.parametrize("kind", ["plain", "ImageJ", "OME"])
def test_no_frame_rate_and_pixel_size(tmp_path, kind):
    """Resolution without a unit is no size."""
    path = tmp_path / "movie.tif"
    tifffile.imwrite(path, movie(), photometric="minisblack", resolution=(72, 72), **TIFFS[kind])
    header = read_header(path)
    assert (header.frame_rate, header.pixel_size) == (None, None)


def test_dataset_of_a_tiff_is_an_error(tmp_path):
    path = tmp_path / "movie.tif"
    tifffile.imwrite(path, movie())
    with pytest.raises(RecordingError, match="has no dataset"):
        read_header(path, dataset="ch1")


def test_contiguous_tiff_cut_off_names_the_frame(tmp_path):
    path = tmp_path / "cut.tif"
    tifffile.imwrite(path, movie(), photometric="minisblack")
    with tifffile.TiffFile(path) as file:
        start = file.series[0].dataoffset
    size = HEIGHT * WIDTH * 2
    path.write_bytes(path.read_bytes()[: start + 7 * size + 11])
    with open_recording(path) as recording:
        np.testing.assert_array_equal(recording.read(0, 7), movie()[:7])
        with pytest.raises(RecordingError, match=r"cut\.tif: frame 7 \(counted from 0\).*11 of its 280 bytes"):
            recording.read(4, FRAMES)


@pytest.mark.parametrize("compression", [None, "zlib", "lzw", "zstd"])
def test_damaged_page_names_the_frame(tmp_path, compression):
    """All page headers are there, the pixels of the last page are not: they come last in this file."""
    path = tmp_path / "page.tif"
    noise = np.random.default_rng(1).integers(0, 2**16, (5, 40, 50)).astype(np.uint16)
    with tifffile.TiffWriter(path) as writer:
        for frame in noise:
            writer.write(frame, metadata=None, compression=compression)
    with tifffile.TiffFile(path) as file:
        end = file.pages[4].dataoffsets[0] + file.pages[4].databytecounts[0]
    assert end == path.stat().st_size
    path.write_bytes(path.read_bytes()[: end - 1000])
    with open_recording(path) as recording:
        np.testing.assert_array_equal(recording.read(0, 4), noise[:4])
        with pytest.raises(RecordingError, match=r"page\.tif: frame 4 \(counted from 0\) cannot be read"):
            recording.read(2, 5)
