"""The recordings of a session as a table for people (standard library only)."""

from collections.abc import Iterable
from pathlib import Path

from lib.header import Header
from lib.session import RecordingInfo

COLUMNS = ("recording", "files", "format", "frames", "size", "channels", "planes", "dtype", "Hz", "um/pixel", "used")
NUMBERS = {"frames", "planes", "Hz"}  # aligned to the right
UNKNOWN = "-"  # what the files do not tell


def overview(
    recordings: Iterable[RecordingInfo],
    left: Iterable[tuple[str, tuple[str, ...], Header | None]] = (),
    *,
    channels: int | list | None = None,
    bin_size: int = 1,
    bidiphase: int | str | bool = 0,
) -> str:
    """Return a table with one row per recording: what its files hold, and what will be used of it.

    Parameters
    ----------
    recordings
        Those that can be used.
    left
        Name, files and header, if it could be read, of those that cannot.
    channels, bin_size, bidiphase
        As `lib.recording.open_recording` takes them.
    """
    rows = [
        _row(r.name, r.files, r.header, frames=r.frames, names=r.channel_names, rate=r.frame_rate)
        | {"used": _used(r, channels, bin_size, bidiphase)}
        for r in recordings
    ]
    rows += [_row(name, files, header) | {"used": "nothing, see below"} for name, files, header in left]
    rows.sort(key=lambda row: row["recording"])
    widths = {key: max(len(key), *(len(row[key]) for row in rows)) for key in COLUMNS}
    lines = [dict(zip(COLUMNS, COLUMNS, strict=True)), *rows]
    return "\n".join(
        "  ".join(
            line[key].rjust(width) if key in NUMBERS else line[key].ljust(width) for key, width in widths.items()
        ).rstrip()
        for line in lines
    )


def _row(
    name: str,
    files: tuple[str, ...],
    header: Header | None,
    frames: int | None = None,
    names: tuple[str, ...] = (),
    rate: float | None = None,
) -> dict[str, str]:
    first = Path(files[0]).name + (f" +{len(files) - 1}" if len(files) > 1 else "")
    row = dict.fromkeys(COLUMNS, UNKNOWN) | {"recording": name, "files": first}
    if header is None:
        return row
    rate = header.frame_rate if rate is None else rate
    count = len(names) or header.channels
    own = [text for i, text in enumerate(names or header.channel_names) if text != f"ch{i + 1}"]
    return row | {
        "format": header.format,
        "frames": str(header.frames if frames is None else frames),
        "size": f"{header.height} x {header.width}",
        "channels": ", ".join(names or header.channel_names) if own else str(count),
        "planes": str(header.planes),
        "dtype": header.dtype,
        "Hz": UNKNOWN if rate is None else f"{rate:.5g}",
        "um/pixel": UNKNOWN if header.pixel_size is None else " x ".join(f"{size:.4g}" for size in header.pixel_size),
    }


def _used(recording: RecordingInfo, channels: int | list | None, bin_size: int, bidiphase: int | str | bool) -> str:
    header = recording.header
    told = channels if isinstance(channels, int) else len(channels) if channels else 1
    there = max(header.channels, told)
    parts = [f"{recording.channels} of {there} channels"] if there > recording.channels else []
    parts += [f"plane {recording.plane}"] if header.planes > 1 else []
    parts += [f"{-(-recording.frames // bin_size)} means of {bin_size} frames" if bin_size > 1 else "all frames"]
    if bidiphase not in ("off", False, 0):
        parts.append("every second row moved" + (f" by {-bidiphase}" if isinstance(bidiphase, int) else ": auto"))
    return ", ".join(parts)
