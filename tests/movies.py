"""A small movie, and reading one back, for the tests of readers."""

from pathlib import Path

import numpy as np
import tifffile

from lib.recording import open_recording

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


def write_ome_set(folder: Path) -> list[Path]:
    """Three files of one movie; every one refers to all of them, as microscopes write it."""
    paths = [folder / f"set_{i}.ome.tif" for i in range(3)]
    uuids = [f"urn:uuid:00000000-0000-0000-0000-00000000000{i}" for i in range(3)]
    data = "".join(
        f'<TiffData FirstT="{4 * i}" FirstC="0" FirstZ="0" IFD="0" PlaneCount="4"><UUID FileName="{path.name}">{uuid}'
        "</UUID></TiffData>"
        for i, (path, uuid) in enumerate(zip(paths, uuids, strict=True))
    )
    for i, path in enumerate(paths):
        xml = (
            '<?xml version="1.0"?><OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06" '
            f'UUID="{uuids[i]}"><Image ID="Image:0"><Pixels ID="Pixels:0" DimensionOrder="XYZCT" Type="uint16" '
            f'SizeX="{WIDTH}" SizeY="{HEIGHT}" SizeZ="1" SizeC="1" SizeT="{FRAMES}" TimeIncrement="0.1">{data}'
            "</Pixels></Image></OME>"
        )
        with tifffile.TiffWriter(path) as writer:
            writer.write(movie()[4 * i : 4 * i + 4], description=xml, metadata=None, photometric="minisblack")
    return paths
