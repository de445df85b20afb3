"""Every kind of file is written by the library that writes such files, and read back bit by bit."""

import json
import struct
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import h5py
import numpy as np
import pytest
import tifffile

from lib.recording import READERS, Header, RecordingError, open_recording, read_header

FRAMES, HEIGHT, WIDTH = 12, 10, 14


def movie(dtype="uint16", channels: int = 1) -> np.ndarray:
    """(T, H, W) or (T, H, W, C), every value different from its neighbours in all directions."""
    shape = (FRAMES, HEIGHT, WIDTH, channels)
    values = np.random.default_rng(0).integers(0, 120, shape)
    return values.astype(dtype)[..., 0] if channels == 1 else values.astype(dtype)


def read_all(path: Path, **how) -> np.ndarray:
    with open_recording(path, **how) as recording:
        block = recording.read(0, recording.frames)
        assert block.flags.c_contiguous
        assert block.dtype == recording.dtype
        assert block.dtype.isnative
        assert block.shape == (recording.frames, *recording.frame_shape)
        return block


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


DTYPES = [f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)] + [
    "float16",
    "float32",
    "float64",
]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("suffix", [".tif", ".h5"])
def test_dtypes_come_back_as_they_are(tmp_path, dtype, suffix):
    path = tmp_path / f"movie{suffix}"
    if suffix == ".tif":
        tifffile.imwrite(path, movie(dtype), photometric="minisblack")
    else:
        with h5py.File(path, "w") as file:
            file["movie"] = movie(dtype)
    block = read_all(path)
    assert block.dtype == dtype
    np.testing.assert_array_equal(block, movie(dtype))


HDF5S = {
    "contiguous": {},
    "chunked": {"chunks": (5, 4, 7)},
    "gzip": {"chunks": (1, HEIGHT, WIDTH), "compression": "gzip", "shuffle": True},
    "big-endian": {"dtype": ">u2"},
}


@pytest.mark.parametrize("kind", HDF5S)
@pytest.mark.parametrize("suffix", [".h5", ".hdf5", ".hdf", ".HDF5"])
def test_hdf5_kinds(tmp_path, kind, suffix):
    path = tmp_path / f"movie{suffix}"
    with h5py.File(path, "w") as file:
        file.create_dataset("deep/inside/mov", data=movie(), **HDF5S[kind])
        file["frame_times"] = np.arange(FRAMES)
    np.testing.assert_array_equal(read_all(path), movie())
    assert read_header(path) == Header("hdf5", FRAMES, HEIGHT, WIDTH, 1, "uint16", ("deep/inside/mov",))


def test_hdf5_channels_by_number_and_by_name(tmp_path):
    path = tmp_path / "movie.h5"
    with h5py.File(path, "w") as file:
        for c in range(3):
            file[f"ch{c + 1}"] = movie(channels=3)[..., c]
        file["other"] = movie()
    np.testing.assert_array_equal(read_all(path), movie(channels=3))
    np.testing.assert_array_equal(read_all(path, dataset="ch2"), movie(channels=3)[..., 1])
    named = read_all(path, dataset=["ch3", "ch1"])
    np.testing.assert_array_equal(named, movie(channels=3)[..., [2, 0]])


def test_ambiguous_hdf5_lists_what_there_is(tmp_path):
    path = tmp_path / "two.h5"
    with h5py.File(path, "w") as file:
        file["green"], file["group/red"], file["times"] = movie(), movie("float32"), np.arange(3)
    with pytest.raises(RecordingError, match=r"two\.h5.*green \(12, 10, 14\) uint16.*group/red .*`dataset`"):
        read_header(path)
    with pytest.raises(RecordingError, match=r"expected 3-D datasets blue.*green \(12"):
        read_header(path, dataset="blue")
    with pytest.raises(RecordingError, match="expected 3-D datasets times"):
        read_header(path, dataset="times")
    with pytest.raises(RecordingError, match="must agree in shape and type"):
        read_header(path, dataset=["green", "group/red"])
    np.testing.assert_array_equal(read_all(path, dataset="green"), movie())


def unusable(tmp_path: Path, kind: str) -> tuple[Path, str]:
    """A file that is no recording, and what the message must say."""
    path = tmp_path / "broken one.tif"
    grey = {"photometric": "minisblack"}
    match kind:
        case "missing":
            return path, "No such file"
        case "folder":
            path.mkdir()
            return path, "directory"
        case "empty file":
            path.touch()
            return path, r"empty \(0 bytes\)"
        case "text":
            path.write_text("frame,x,y\n1,2,3\n" * 50)
            return path, "cannot be opened as TIFF.*not a TIFF"
        case "text as HDF5":
            path = path.with_suffix(".h5")
            path.write_text("frame,x,y\n" * 100)
            return path, "cannot be opened as HDF5"
        case "half an HDF5":
            path = path.with_suffix(".h5")
            with h5py.File(path, "w") as file:
                file["ch1"] = movie()
            path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
            return path, "cannot be opened as HDF5.*truncated"
        case "no frames":
            with pytest.warns(UserWarning, match="zero-size"):
                tifffile.imwrite(path, movie()[:0], **grey)
            return path, "no frames"
        case "no frames in HDF5":
            path = path.with_suffix(".h5")
            with h5py.File(path, "w") as file:
                file["ch1"] = movie()[:0]
            return path, "no frames"
        case "no dataset":
            path = path.with_suffix(".h5")
            h5py.File(path, "w").close()
            return path, "holds no dataset"
        case "colour":
            tifffile.imwrite(path, movie("uint8", channels=3), photometric="rgb")
            return path, "colour images"
        case "volumes":
            tifffile.imwrite(path, movie().reshape(4, 3, HEIGHT, WIDTH), imagej=True, metadata={"axes": "TZYX"})
            return path, "holds 4 T x 3 Z images.*one plane"
        case "two sizes":
            with tifffile.TiffWriter(path) as writer:
                writer.write(movie(), **grey)
                writer.write(movie()[:, :5], **grey)
            return path, r"different kinds \(\(5, 14\) uint16, \(10, 14\) uint16\)"
        case "two positions":
            with tifffile.TiffWriter(path, ome=True) as writer:
                writer.write(movie(), **grey)
                writer.write(movie(), **grey)
            return path, "holds 2 image series"
        case "bool":
            path = path.with_suffix(".h5")
            with h5py.File(path, "w") as file:
                file["ch1"] = movie() > 50
            return path, "pixels of type bool; expected one of int8"
        case "complex":
            tifffile.imwrite(path, movie("complex64"), **grey)
            return path, "pixels of type complex64"
        case "unknown suffix":
            path = path.with_suffix(".avi")
            path.write_bytes(b"RIFF")
            return path, r"unknown suffix '\.avi'; expected one of \.tif, "
        case "cut-off ImageJ":
            tifffile.imwrite(path, movie(), imagej=True, metadata={"axes": "TYX"})
            path.write_bytes(path.read_bytes()[:2000])
            return path, "cut off or damaged after page 1;"
        case "cut-off ImageJ of one page":  # ImageJ writes one page header if the movie passes 4 GB
            tifffile.imwrite(path, movie(), imagej=True, metadata={"axes": "TYX"})
            data = bytearray(path.read_bytes()[:2000])
            (tags,) = struct.unpack_from("<H", data, 8)
            struct.pack_into("<I", data, 10 + 12 * tags, 0)
            path.write_bytes(data)
            return path, "tells of 12 images, 1 are there"
        case "pages in a circle":
            with tifffile.TiffWriter(path) as writer:
                for frame in movie()[:3]:
                    writer.write(frame, metadata=None)
            with tifffile.TiffFile(path) as file:
                second, end = file.pages[1].offset, file.pages.next_page_offset
            data = bytearray(path.read_bytes())
            struct.pack_into("<I", data, end, second)
            path.write_bytes(data)
            return path, "cut off or damaged"
        case "cut-off chain of pages":
            with tifffile.TiffWriter(path) as writer:
                for frame in movie():
                    writer.write(frame, metadata=None, compression="zlib")
            path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
            return path, "cut off or damaged after page [5-7];"


UNUSABLE = [
    *(
        "missing",
        "folder",
        "empty file",
        "text",
        "text as HDF5",
        "half an HDF5",
        "no frames",
        "no frames in HDF5",
    ),
    *("no dataset", "colour", "volumes", "two sizes", "two positions", "bool", "complex", "unknown suffix"),
    *("cut-off ImageJ", "cut-off ImageJ of one page", "pages in a circle", "cut-off chain of pages"),
]


@pytest.mark.parametrize("kind", UNUSABLE)
def test_headers_show_what_cannot_be_used(tmp_path, kind):
    path, said = unusable(tmp_path, kind)
    with pytest.raises(RecordingError, match=said) as raised:
        read_header(path)
    assert path.name in str(raised.value)
    with pytest.raises(RecordingError, match=said):
        open_recording(path)


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


def test_damaged_hdf5_chunk_names_the_frame(tmp_path):
    path = tmp_path / "chunk.h5"
    with h5py.File(path, "w") as file:
        file.create_dataset("ch1", data=movie(), chunks=(1, HEIGHT, WIDTH), compression="gzip")
        where = file["ch1"].id.get_chunk_info(8).byte_offset
    data = bytearray(path.read_bytes())
    data[where : where + 20] = b"\xff" * 20
    path.write_bytes(data)
    with open_recording(path) as recording:
        np.testing.assert_array_equal(recording.read(0, 8), movie()[:8])
        with pytest.raises(RecordingError, match=r"chunk\.h5: frame 8 \(counted from 0\) cannot be read"):
            recording.read(3, FRAMES)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("suffix", [".tif", ".h5"])
def test_not_finite_names_the_frame(tmp_path, value, suffix):
    frames = movie("float32")
    frames[5, 2, 3] = frames[9, 0, 0] = value
    path = tmp_path / f"nan{suffix}"
    if suffix == ".tif":
        tifffile.imwrite(path, frames)
    else:
        with h5py.File(path, "w") as file:
            file["ch1"] = frames
    with open_recording(path) as recording:
        recording.read(0, 5)
        with pytest.raises(RecordingError, match="frame 5 .counted from 0. holds 1 pixels"):
            recording.read(0, FRAMES)
        with pytest.raises(RecordingError, match="frame 9 "):
            recording.read_frames([0, 9])
    with open_recording(path, bin_size=4) as recording, pytest.raises(RecordingError, match="frame 5 "):
        recording.read(1, 2)


def test_binning_averages_and_keeps_the_remainder(tmp_path):
    path = tmp_path / "movie.tif"
    tifffile.imwrite(path, movie(), photometric="minisblack")
    with open_recording(path, bin_size=5) as recording:
        assert (recording.frames, recording.header.frames, recording.dtype) == (3, FRAMES, np.float32)
        expected = [movie()[:5].mean(axis=0), movie()[5:10].mean(axis=0), movie()[10:].mean(axis=0)]
        np.testing.assert_allclose(recording.read(0, 3), expected, rtol=1e-6)
        np.testing.assert_array_equal(recording.read(1, 3), recording.read_frames([1, 2]))
        np.testing.assert_array_equal(recording.read(2, 3), recording.read(0, 3)[2:])
    with pytest.raises(ValueError, match="bin_size must be at least 1"):
        open_recording(path, bin_size=0)


@pytest.mark.parametrize("indices", [[3, 4, 5, 9], [9, 0, 0, 1, 2], [11], [], np.arange(FRAMES)])
def test_read_frames_in_any_order(tmp_path, indices):
    path = tmp_path / "movie.h5"
    with h5py.File(path, "w") as file:
        file["ch1"], file["ch2"] = np.moveaxis(movie(channels=2), -1, 0)
    with open_recording(path) as recording:
        np.testing.assert_array_equal(recording.read_frames(indices), movie(channels=2)[np.asarray(indices, int)])


def test_frames_that_are_not_there(tmp_path):
    path = tmp_path / "movie.tif"
    tifffile.imwrite(path, movie(), photometric="minisblack")
    with open_recording(path) as recording:
        assert recording.read(4, 4).shape == (0, HEIGHT, WIDTH)
        for start, stop in [(0, 13), (-1, 2), (5, 4)]:
            with pytest.raises(IndexError, match="has 12 frames"):
                recording.read(start, stop)
        for indices in ([0, 12], [-1, 0]):
            with pytest.raises(IndexError, match="has 12 frames"):
                recording.read_frames(indices)


@pytest.mark.parametrize("suffix", [".tif", ".h5"])
def test_reading_from_several_threads(tmp_path, suffix):
    path = tmp_path / f"movie{suffix}"
    if suffix == ".tif":
        tifffile.imwrite(path, movie(), photometric="minisblack", compression="zlib", metadata=None)
    else:
        with h5py.File(path, "w") as file:
            file.create_dataset("ch1", data=movie(), chunks=(3, 5, 5), compression="gzip")
    with open_recording(path) as recording, ThreadPoolExecutor(8) as pool:
        for index, block in enumerate(pool.map(lambda i: recording.read(i % 12, i % 12 + 1), range(240))):
            np.testing.assert_array_equal(block[0], movie()[index % 12])


def test_header_survives_json(tmp_path):
    path = tmp_path / "movie.h5"
    with h5py.File(path, "w") as file:
        file["ch1"], file["ch2"] = movie(), movie()
    header = read_header(path)
    assert Header.from_dict(json.loads(json.dumps(header.as_dict()))) == header
    assert header.dataset == ("ch1", "ch2")


def test_a_new_format_is_one_class(tmp_path, monkeypatch):
    from lib.recording import Recording

    class NpyRecording(Recording):
        def _open(self, dataset):
            self._movie = np.load(self.path, mmap_mode="r")
            return Header("npy", *self._movie.shape, 1, self._movie.dtype.name)

        def _read_into(self, block, start):
            block[..., 0] = self._movie[start : start + len(block)]

    monkeypatch.setitem(READERS, ".npy", NpyRecording)
    np.save(tmp_path / "movie.npy", movie())
    np.testing.assert_array_equal(read_all(tmp_path / "movie.npy"), movie())


PEAK = """
import resource, sys
from lib.recording import open_recording
with open_recording(sys.argv[1]) as recording:
    recording.read(0, 8)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for start in range(0, recording.frames, 8):
        recording.read(start, start + 8)
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024)
"""


@pytest.mark.parametrize("kind", ["contiguous.tif", "pages.tif", "chunked.h5"])
def test_memory_does_not_grow_with_the_movie(tmp_path, kind):
    path = tmp_path / kind
    frames = np.random.default_rng(0).integers(0, 4000, (320, 256, 256)).astype(np.uint16)  # 42 MB
    if kind == "contiguous.tif":
        tifffile.imwrite(path, frames, photometric="minisblack")
    elif kind == "pages.tif":
        tifffile.imwrite(path, frames, photometric="minisblack", rowsperstrip=64, compression="packbits")
    else:
        with h5py.File(path, "w") as file:
            file.create_dataset("ch1", data=frames, chunks=(4, 128, 128))
    run = subprocess.run(
        [sys.executable, "-c", PEAK, path],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        check=True,
    )
    assert float(run.stdout) < 12.0  # MB; the movie has 42
