"""Recordings are read in blocks, whatever their files are; files that cannot be used are told apart."""

import json
import os
import struct
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from unittest import mock

import h5py
import numpy as np
import pytest
import tifffile
import zarr

from lib.recording import READERS, Header, Recording, RecordingError, open_recording, read_header
from lib.sources import FileList, Source
from tests.movies import FRAMES, HEIGHT, WIDTH, movie, read_all

DTYPES = [f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)] + [
    "float16",
    "float32",
    "float64",
]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("suffix", [".tif", ".h5"])
def test_dtypes_come_back_as_they_are_but_half_precision(tmp_path, dtype, suffix):
    path = tmp_path / f"movie{suffix}"
    if suffix == ".tif":
        tifffile.imwrite(path, movie(dtype), photometric="minisblack")
    else:
        with h5py.File(path, "w") as file:
            file["movie"] = movie(dtype)
    block = read_all(path)
    assert block.dtype == ("float32" if dtype == "float16" else dtype)
    np.testing.assert_array_equal(block, movie(dtype))


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
            tifffile.imwrite(path, movie().reshape(3, 2, 2, HEIGHT, WIDTH), metadata={"axes": "TRZYX"}, **grey)
            return path, "holds 3 T x 2 R x 2 Z images; expected frames in channels"
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


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 3e38])
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


def pieces(folder: Path, planes: np.ndarray, cuts: list[int], suffix: str = ".tif") -> Source:
    """Write (n, H, W) images into several files, cut where told."""
    paths = []
    for i, part in enumerate(np.split(planes, cuts)):
        paths.append(str(folder / f"run_{i}{suffix}"))
        if suffix == ".tif":
            tifffile.imwrite(paths[-1], part, photometric="minisblack", metadata=None)
        else:
            with h5py.File(paths[-1], "w") as file:
                file["mov"] = part
    return Source("run", (tuple(paths),))


@pytest.mark.parametrize("suffix", [".tif", ".h5"])
def test_files_that_continue_one_another(tmp_path, suffix):
    with Recording(pieces(tmp_path, movie(), [5, 6, 11], suffix), bin_size=5) as binned:
        np.testing.assert_allclose(binned.read(1, 2)[0], movie()[5:10].mean(axis=0), rtol=1e-6)
    with Recording(pieces(tmp_path, movie(), [5, 6, 11], suffix)) as recording:
        np.testing.assert_array_equal(recording.read(0, FRAMES), movie())
        np.testing.assert_array_equal(recording.read(4, 7), movie()[4:7])
        np.testing.assert_array_equal(recording.read_frames([11, 0, 5, 6]), movie()[[11, 0, 5, 6]])


def test_channels_take_turns_across_files(tmp_path):
    """Files are cut anywhere, also in the middle of a frame."""
    planes = np.moveaxis(movie(channels=3), -1, 1).reshape(-1, HEIGHT, WIDTH)
    source = pieces(tmp_path, planes, [4, 17])
    with Recording(source, channels=3) as recording:
        np.testing.assert_array_equal(recording.read(0, FRAMES), movie(channels=3))
        assert recording.channel_names == ("ch1", "ch2", "ch3")
    with Recording(source, channels=["blue", None, "red"]) as recording:
        np.testing.assert_array_equal(recording.read(2, 9), movie(channels=3)[2:9, ..., [0, 2]])
        assert recording.channel_names == ("blue", "red")
    with Recording(source, channels=[None, "green", None], bin_size=2) as recording:
        assert recording.frame_shape == (HEIGHT, WIDTH)
        np.testing.assert_array_equal(recording.read(0, 1)[0], movie(channels=3)[:2, ..., 1].mean(axis=0))
    with pytest.raises(RecordingError, match=r"run_0\.tif holds 36 images, the last frame of 5 channels"):
        Recording(source, channels=5)


def test_channels_that_the_file_tells_of(tmp_path):
    path = tmp_path / "two.ome.tif"
    planes = np.moveaxis(movie(channels=2), -1, 1)
    told = {"axes": "TCYX", "Channel": {"Name": ["GCaMP", "tdTomato"]}}
    tifffile.imwrite(path, planes, photometric="minisblack", metadata=told)
    np.testing.assert_array_equal(read_all(path, channels=[None, "red"]), movie(channels=2)[..., 1])
    np.testing.assert_array_equal(read_all(path, channels=2), movie(channels=2))
    with open_recording(path) as recording:
        assert recording.channel_names == ("GCaMP", "tdTomato")
    with pytest.raises(RecordingError, match=r"two\.ome\.tif holds 2 channels \(GCaMP, tdTomato\), but"):
        open_recording(path, channels=3)


def test_a_file_per_channel(tmp_path):
    red, green = tmp_path / "red", tmp_path / "green"
    red.mkdir(), green.mkdir()
    files = [pieces(folder, movie(channels=2)[..., c], [5]).channels[0] for c, folder in enumerate((green, red))]
    with Recording(Source("a", tuple(files))) as recording:
        np.testing.assert_array_equal(recording.read(0, FRAMES), movie(channels=2))
    with Recording(Source("a", tuple(files)), channels=[None, "red"]) as recording:
        np.testing.assert_array_equal(recording.read(3, 8), movie(channels=2)[3:8, ..., 1])
    tifffile.imwrite(files[1][1], movie()[:3], photometric="minisblack")
    with pytest.raises(RecordingError, match=r"red/run_0\.tif: frames is 8, but 12 in .*green/run_0"):
        Recording(Source("a", tuple(files)))


def test_files_that_do_not_fit_together(tmp_path):
    source = pieces(tmp_path, movie(), [5])
    tifffile.imwrite(source.files[1], movie()[:, :5], photometric="minisblack")
    with pytest.raises(RecordingError, match=r"run_1\.tif: height is 5, but 10 in .*run_0\.tif, the first file of"):
        Recording(source)


def test_more_files_than_may_be_open(tmp_path):
    source = pieces(tmp_path, movie(), list(range(1, FRAMES)))
    before = len(os.listdir("/proc/self/fd"))
    with mock.patch("lib.joined.OPEN", 3), Recording(source) as recording:
        np.testing.assert_array_equal(recording.read(0, FRAMES), movie())
        assert len(os.listdir("/proc/self/fd")) <= before + 3
    assert len(os.listdir("/proc/self/fd")) == before


def test_a_list_of_files_is_opened_like_a_file(tmp_path):
    source = pieces(tmp_path, movie(), [5])
    path = tmp_path / "run.json"
    path.write_text(json.dumps(FileList(source, ((5, 7),), ()).as_dict()))
    np.testing.assert_array_equal(read_all(path), movie())
    tifffile.imwrite(source.files[1], movie()[:3], photometric="minisblack")
    with (
        open_recording(path) as recording,
        pytest.raises(RecordingError, match=r"run_1.* 3 images now, it had 7"),
    ):
        recording.read(0, FRAMES)
    path.write_text("{}")
    with pytest.raises(RecordingError, match=r"run\.json cannot be read as the list.*delete it"):
        open_recording(path)


def test_header_survives_json(tmp_path):
    path = tmp_path / "movie.h5"
    with h5py.File(path, "w") as file:
        file["ch1"], file["ch2"] = movie(), movie()
    header = read_header(path)
    assert Header.from_dict(json.loads(json.dumps(header.as_dict()))) == header
    assert header.dataset == ("ch1", "ch2")


NPY_READER = """
import numpy as np
from lib.readers import Header, Reader

class NpyReader(Reader):
    def _open(self, dataset):
        self._movie = np.load(self.path, mmap_mode="r")
        return Header("npy", *self._movie.shape, 1, self._movie.dtype.name)

    def read_into(self, block, frames, channels):
        block[..., 0] = self._movie[frames.start : frames.stop : frames.step]
"""


def test_a_new_format_is_one_class(tmp_path, monkeypatch):
    (tmp_path / "reader_npy.py").write_text(NPY_READER)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setitem(READERS, ".npy", "reader_npy:NpyReader")
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


@pytest.mark.parametrize("kind", ["contiguous.tif", "pages.tif", "chunked.h5", "chunked.zarr", "flat.raw"])
def test_memory_does_not_grow_with_the_movie(tmp_path, kind):
    path = tmp_path / kind
    frames = np.random.default_rng(0).integers(0, 4000, (320, 256, 256)).astype(np.uint16)  # 42 MB
    if kind == "contiguous.tif":
        tifffile.imwrite(path, frames, photometric="minisblack")
    elif kind == "pages.tif":
        tifffile.imwrite(path, frames, photometric="minisblack", rowsperstrip=64, compression="packbits")
    elif kind == "chunked.zarr":
        zarr.create_array(path, data=frames, chunks=(4, 256, 256), compressors=None)
    elif kind == "flat.raw":
        frames.tofile(path)
        path.with_suffix(".json").write_text(json.dumps({"shape": frames.shape, "dtype": "uint16"}))
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
