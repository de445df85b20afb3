"""Files that continue one another, read as one."""

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from lib.readers import Header, Reader, RecordingError, open_file

OPEN = 16  # files kept open: microscopes may write thousands


class Joined:
    """The images of several files, one after another; not to be used from two threads at once.

    Parameters
    ----------
    paths
        The files, in order.
    dataset
        Names of the movie's datasets inside the files.
    counts
        Images in each file, where they are known already; otherwise all files are opened to count them.
    alone
        Read nothing from other files, even if these refer to some.
    axes
        The order of the axes in the files, see `lib.readers.open_file`.

    Attributes
    ----------
    path : Path
        The first file.
    header : Header
        Of all files together.
    counts : tuple of int

    Raises
    ------
    RecordingError
        A file cannot be used, or is not like the first one.
    """

    def __init__(
        self,
        paths: Sequence[str],
        dataset: tuple[str, ...] = (),
        counts: Sequence[int] | None = None,
        *,
        alone: bool = False,
        axes: str | None = None,
    ) -> None:
        self.path = Path(paths[0])
        self._paths = paths
        self._dataset = dataset
        self._how = {"alone": alone, "axes": axes}
        self._readers: OrderedDict[int, Reader] = OrderedDict()
        self._first: Header | None = None
        self.counts = None if counts is None else tuple(counts)
        try:
            self._first = self._reader(0).header
            companions = self._first.companions
            if counts is None:
                headers = [self._reader(i).header for i in range(len(paths))]
                companions = tuple(sorted({name for header in headers for name in header.companions}))
                self.counts = tuple(header.frames for header in headers)
        except BaseException:
            self.close()
            raise
        self._ends = np.cumsum(self.counts)
        self.header = replace(self._first, frames=int(self._ends[-1]), companions=companions)

    def read_into(self, block: np.ndarray, images: range, channels: Sequence[int]) -> None:
        """Fill `block` (n, H, W, C) with n `images` of C `channels`, counted over all files."""
        done = 0
        while done < len(block):
            i = int(np.searchsorted(self._ends, images[done], side="right"))
            start = int(self._ends[i]) - self.counts[i]
            here = range(images[done] - start, self.counts[i], images.step)[: len(block) - done]
            self._reader(i).read_into(block[done : done + len(here)], here, channels)
            done += len(here)

    def close(self) -> None:
        """Close all files."""
        for reader in self._readers.values():
            reader.close()
        self._readers.clear()

    def _reader(self, i: int) -> Reader:
        """Return file `i`, opened; the one not used for longest makes room."""
        if i in self._readers:
            self._readers.move_to_end(i)
            return self._readers[i]
        reader = self._readers[i] = open_file(self._paths[i], self._dataset, **self._how)
        if self._first is not None:
            self._check_alike(reader)
        if self.counts is not None and self.counts[i] != reader.header.frames:
            raise RecordingError(
                f"{reader.path} has {reader.header.frames} images now, it had {self.counts[i]}; run snakemake again"
            )
        while len(self._readers) > OPEN:
            self._readers.popitem(last=False)[1].close()
        return reader

    def _check_alike(self, reader: Reader) -> None:
        for key in ("height", "width", "channels", "planes", "dtype"):
            found, wanted = getattr(reader.header, key), getattr(self._first, key)
            if found != wanted:
                raise RecordingError(
                    f"{reader.path}: {key} is {found}, but {wanted} in {self.path}, the first file of the same "
                    "recording; all must be alike: correct `recordings` or copy the file again"
                )
