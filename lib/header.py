"""What the headers of a recording tell, and which of its images make a frame (standard library only)."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Self


@dataclass(frozen=True)
class Header:
    """What the headers of a file, or of all files of a recording, tell before any image is read.

    Attributes
    ----------
    format : str
        Such as "hdf5", or "tiff-" and tifffile's name of the flavour.
    frames : int
        Images of each channel, one after another in time: those of all planes, in turn.
    height, width, channels : int
    dtype : str
        A NumPy name such as "uint16".
    dataset : tuple of str
        Names of the datasets inside the file, one per channel.
    frame_rate : float or None
        How often one plane is imaged, Hz; None where the file does not tell.
    pixel_size : (float, float) or None
        [y, x], micrometres; None where the file does not tell.
    planes, flyback : int
        Images that make a volume: the planes, and what is recorded on the way back to the first one.
    channel_names : tuple of str
        What the microscope calls the channels; empty where the file does not tell.
    companions : tuple of str
        Other files that the movie was read from.
    in_memory : bool
        The format can only be read as a whole.
    """

    format: str
    frames: int
    height: int
    width: int
    channels: int
    dtype: str
    dataset: tuple[str, ...] = ()
    frame_rate: float | None = None
    pixel_size: tuple[float, float] | None = None
    planes: int = 1
    flyback: int = 0
    channel_names: tuple[str, ...] = ()
    companions: tuple[str, ...] = ()
    in_memory: bool = False

    def as_dict(self) -> dict[str, Any]:
        """Return the header as a dictionary that JSON can hold."""
        return {name: list(value) if isinstance(value, tuple) else value for name, value in asdict(self).items()}

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Self:
        """Return the header that `as_dict` was made from."""
        return cls(**{name: tuple(value) if isinstance(value, list) else value for name, value in data.items()})


@dataclass(frozen=True)
class Selection:
    """What is used of a recording: channels, and one plane.

    Image number `first + t * step + c` is frame t of channel c, where channels take turns (`turns` above 1);
    otherwise image `first + t * step` holds all channels.

    Attributes
    ----------
    frames : int
        Frames of the plane.
    frame_rate : float or None
        Hz.
    channels : tuple of int
        The channels used, from 0.
    names : tuple of str
        Their names; "ch1", "ch2", ... where nobody named them.
    turns, first, step : int
        See above.
    """

    frames: int
    frame_rate: float | None
    channels: tuple[int, ...]
    names: tuple[str, ...]
    turns: int
    first: int
    step: int


def select(header: Header, channels: int | Sequence[str | None] | None = None, plane: int | None = None) -> Selection:
    """Return what the settings `channels` and `planes` choose of a recording.

    Parameters
    ----------
    header
        Of the recording.
    channels
        None: all that the files have. A number: so many take turns, all are used. A list with a name for every
        channel, in the order of the files: those whose name is None are left out. Where the files do not tell of
        several channels, they take turns.
    plane
        From 1; None where there is only one.

    Raises
    ------
    ValueError
        The recording has other channels or planes; the message, to be put after the file's name, says what to do.
    """
    found, told = header.channels, header.channel_names
    total = found if channels is None else channels if isinstance(channels, int) else len(channels)
    if found not in (1, total):
        names = f" ({', '.join(told)})" if told else ""
        raise ValueError(
            f"holds {found} channels{names}, but `channels` is {channels!r}; give a list of {found} names, null for "
            "a channel that is not to be used"
        )
    turns = total if found == 1 else 1
    if header.frames % turns:
        raise ValueError(
            f"holds {header.frames} images, the last frame of {turns} channels is not complete; correct `channels`, "
            "copy it again or save it without that frame"
        )
    if header.planes > 1 and plane is None:
        raise ValueError(
            f"holds {header.planes} planes; set `planes` to 'split', which makes each a recording of its own, or to "
            "the number of the one to use"
        )
    if plane is not None and not 1 <= plane <= header.planes:
        raise ValueError(f"holds {header.planes} planes, but `planes` is {plane}; the first one is 1")
    volume = header.planes + header.flyback
    images = header.frames // turns
    if images < header.planes:
        raise ValueError(
            f"holds {images} images, fewer than the {header.planes} of one volume; record it again or take it out of "
            "the session"
        )
    wanted = channels if isinstance(channels, Sequence) else [""] * total
    used = tuple(i for i, name in enumerate(wanted) if name is not None)
    known = told if len(told) == total else [f"ch{i + 1}" for i in range(total)]
    return Selection(
        frames=(images + header.flyback) // volume,  # the last volume needs no way back
        frame_rate=None if header.frame_rate is None else header.frame_rate / turns,
        channels=used,
        names=tuple(wanted[i] or known[i] for i in used),
        turns=turns,
        first=((plane or 1) - 1) * turns,
        step=volume * turns,
    )
