"""The table of recordings tells what files hold and what is used of them."""

import re

from lib.header import Header
from lib.overview import overview
from lib.session import RecordingInfo


def info(name: str, header: Header, **told) -> RecordingInfo:
    facts = {"frames": header.frames, "channels": header.channels, "frame_rate": header.frame_rate}
    return RecordingInfo(
        name,
        f"{name}.tif",
        1,
        height=header.height,
        width=header.width,
        dtype=header.dtype,
        header=header,
        **facts | {"files": (f"data/{name}.tif",), "channel_names": ("ch1",)} | told,
    )


def cells(table: str) -> list[list[str]]:
    return [re.split(r" {2,}", line) for line in table.splitlines()]


def test_rows():
    header = Header("tiff-ome", 100, 512, 256, 2, "uint16", frame_rate=30.0301, pixel_size=(1.25, 0.5), planes=4)
    plane = info(
        *("b", header),
        **{"frames": 25, "channels": 1, "plane": 3, "channel_names": ("green",), "files": ("b_1.tif", "b_2.tif")},
    )
    plain = info("a", Header("hdf5", 7, 10, 12, 1, "float32"))
    table = overview([plane, plain], [("c d", ("x/c d.raw",), None)], channels=["green", None], bin_size=2, bidiphase=3)
    head, *rows = cells(table)
    assert head[:4] == ["recording", "files", "format", "frames"]
    assert rows == [
        ["a", "a.tif", "hdf5", "7", "10 x 12", "1", "1", "float32", "-", "-", rows[0][-1]],
        ["b", "b_1.tif +1", "tiff-ome", "25", "512 x 256", "green", "4", "uint16", "30.03", "1.25 x 0.5", rows[1][-1]],
        ["c d", "c d.raw", *["-"] * 8, "nothing, see below"],
    ]
    assert rows[1][-1] == "1 of 2 channels, plane 3, 13 means of 2 frames, every second row moved by -3"
    assert len({line.index("uint16") for line in table.splitlines() if "uint16" in line}) == 1


def test_what_is_switched_off_is_not_told():
    plain = info("a", Header("hdf5", 7, 10, 12, 1, "float32"))
    for off in ("off", False, 0):
        assert overview([plain], bidiphase=off).endswith(" all frames")
    assert overview([plain], bidiphase="auto").endswith(" all frames, every second row moved: auto")
