"""Read movies from TIFF files of every flavour that tifffile knows."""

import math
import os
import struct
from collections.abc import Sequence

import numpy as np
import tifffile

from lib.readers.base import Header, Reader, RecordingError, damaged, no_frames
from lib.readers.tiff_metadata import channel_names, scales, scanimage_layout


class TiffReader(Reader):
    """Whatever tifffile reads as a stack of 2-D frames.

    Pixels that lie in the file as they are, frame after frame, are read straight from their place. (A mapping
    of the file would count as the job's memory, and end the job with a bus error where the file is cut off.)
    Other frames are decoded page by page. Files that an OME-TIFF refers to are read with it, unless it is one of
    the files that a recording was told to be made of.
    """

    def _open(self, dataset: tuple[str, ...]) -> Header:
        if dataset:
            raise RecordingError(f"{self.path} is a TIFF and has no dataset {list(dataset)}; unset `dataset`")
        self._file = tifffile.TiffFile(self.path, _multifile=not self.alone)
        series = self._series()
        first = series[0]
        self._planes = [plane for part in series for plane in _planes(part)]
        self._check_complete(series)
        planes, flyback = 1, 0
        if first.kind == "scanimage":
            channels, planes, flyback = scanimage_layout(self._file, self.path)
            self._order = self._by_channel(channels)
        elif len(series) > 1:  # written block by block
            self._order = self._by_channel(1)
        else:
            self._order, planes = self._by_axes(first)
        self._stored_dtype = first.dtype.newbyteorder(self._file.byteorder)
        self._plane_shape = first.keyframe.shape[:2]
        frames, channels = self._order.shape
        return Header(
            f"tiff-{first.kind}",
            frames,
            *self._plane_shape,
            channels,
            first.dtype.name,
            planes=planes,
            flyback=flyback,
            channel_names=channel_names(self._file, channels),
            companions=self._companions(first),
            **scales(self._file),
        )

    def _series(self) -> list[tifffile.TiffPageSeries]:
        """Return the series whose frames, one after another, are the movie."""
        series = list(self._file.series)
        if not series or any(0 in part.shape for part in series):
            raise no_frames(self.path)
        kinds = {(part.keyframe.shape, str(part.dtype)) for part in series}
        if len(kinds) > 1:
            found = ", ".join(f"{shape} {dtype}" for shape, dtype in sorted(kinds))
            raise RecordingError(
                f"{self.path} holds images of different kinds ({found}); expected frames of one size and "
                "type: save the movie alone"
            )
        # A file written frame by frame with tifffile has a series for each; elsewhere a second series is
        # another position or resolution.
        if len(series) > 1 and any(part.kind != "shaped" or "C" in part.axes for part in series):
            names = ", ".join(f"{part.name or part.index} {part.shape}" for part in series)
            raise RecordingError(
                f"{self.path} holds {len(series)} image series ({names}); expected one: save each as a "
                "recording of its own"
            )
        page = series[0].keyframe
        if page.photometric not in _GREY or page.axes != "YX":
            raise RecordingError(
                f"{self.path} holds colour images or volumes (a page is {page.axes} {page.shape}); expected "
                "2-D frames of grey values: save each channel as pages of its own"
            )
        return series

    def _check_complete(self, series: list[tifffile.TiffPageSeries]) -> None:
        """Find pages that are missing although the headers tell of them."""
        first = series[0]
        if len(series) == 1 and first.kind in ("shaped", "imagej") and first.dataoffset is not None:
            return  # the first page describes all frames, and `_plane` sees where their pixels end
        if (pages := _broken_after(self._file)) is not None:
            raise RecordingError(f"{self.path} is cut off or damaged after page {pages}; copy it again")
        if first.kind == "scanimage":
            return  # its headers tell how many frames were planned, not how many are in this file
        if missing := sum(plane is None for plane in self._planes):
            raise RecordingError(
                f"{self.path} is one file of an OME set, and {missing} of the set's {len(self._planes)} images are "
                "in files that are not beside it; copy them too"
            )
        told = sum(math.prod(part.shape) // math.prod(part.keyframe.shape) for part in series)
        if self._file.is_imagej:  # tifffile falls back to the pages it finds where an ImageJ file is cut off
            told = max(told, self._file.imagej_metadata.get("images", 1))
        if told != len(self._planes):
            raise RecordingError(
                f"{self.path} is cut off or damaged: its header tells of {told} images, {len(self._planes)} "
                "are there; copy it again"
            )

    def _companions(self, series: tifffile.TiffPageSeries) -> tuple[str, ...]:
        """Return the other files of an OME set."""
        if not series.is_multifile:
            return ()
        names = {page.parent.filehandle.name for page in series.pages}
        return tuple(str(self.path.parent / name) for name in sorted(names - {self.path.name}))

    def _by_axes(self, series: tifffile.TiffPageSeries) -> tuple[np.ndarray, int]:
        """Return the (frames, channels) indices of the file's images, planes following each other, and the planes."""
        steps = {axis: size for axis, size in zip(series.axes, series.shape, strict=True) if axis not in "YX"}
        steps = {axis: size for axis, size in steps.items() if size > 1}
        if len(steps) <= 1:  # that is time, whatever its name: tifffile, ImageJ and people do not care
            return self._by_channel(1), 1
        times = [axis for axis in steps if axis not in "ZC"]
        if len(times) > 1:
            found = " x ".join(f"{size} {axis}" for axis, size in steps.items())
            raise RecordingError(
                f"{self.path} holds {found} images; expected frames in channels (C) and planes (Z): save each "
                "position as a recording of its own"
            )
        order = np.arange(len(self._planes)).reshape(*steps.values())
        wanted = [*times, *(axis for axis in ("Z", "C") if axis in steps)]
        order = order.transpose([list(steps).index(axis) for axis in wanted])
        planes = steps.get("Z", 1) if times else 1  # without time, Z is taken for it
        return order.reshape(-1, steps.get("C", 1)), planes

    def _by_channel(self, channels: int) -> np.ndarray:
        order = np.arange(len(self._planes))
        if len(order) % channels:
            raise RecordingError(
                f"{self.path} holds {len(order)} images in {channels} channels, the last frame is not "
                "complete; copy it again or save it without that frame"
            )
        return order.reshape(-1, channels)

    def read_into(self, block: np.ndarray, frames: range, channels: Sequence[int]) -> None:
        for i, c in np.ndindex(len(block), len(channels)):
            try:
                block[i, :, :, c] = self._plane(self._planes[self._order[frames[i], channels[c]]])
            except Exception as error:  # every codec has exceptions of its own
                raise damaged(self.path, frames[i], error) from error

    def _plane(self, plane: "int | tifffile.TiffPage | tifffile.TiffFrame | None") -> np.ndarray:
        if isinstance(plane, int):
            size = self._plane_shape[0] * self._plane_shape[1] * self._stored_dtype.itemsize
            data = os.pread(self._file.filehandle.fileno(), size, plane)
            if len(data) < size:
                raise ValueError(f"{len(data)} of its {size} bytes are there")
            return np.frombuffer(data, self._stored_dtype).reshape(self._plane_shape)
        if plane is None or not all(plane.databytecounts):
            raise ValueError("its page is missing")
        handle = plane.parent.filehandle
        if not handle.closed:
            return plane.asarray(maxworkers=1)
        handle.open()  # another file of an OME set; there may be too many to keep them open
        try:
            return plane.asarray(maxworkers=1)
        finally:
            handle.close()


_GREY = (tifffile.PHOTOMETRIC.MINISBLACK, tifffile.PHOTOMETRIC.MINISWHITE, tifffile.PHOTOMETRIC.PALETTE)


def _planes(series: tifffile.TiffPageSeries) -> list:
    """Return where each plane is: its offset in the file if it lies there as it is, otherwise its page."""
    if series.dataoffset is None:
        return list(series.pages)
    size = series.keyframe.nbytes
    return [series.dataoffset + i * size for i in range(series.nbytes // size)]


def _broken_after(file: tifffile.TiffFile) -> int | None:
    """Return after how many pages the chain of pages leads nowhere; None if it ends as it should.

    tifffile only logs this, and the movie would be short without a word.
    """
    handle, form = file.filehandle, file.tiff
    offset, seen = file.pages.first.offset, set()
    while offset not in seen and offset:
        try:
            handle.seek(offset)
            tags = struct.unpack(form.tagnoformat, handle.read(form.tagnosize))[0]
            handle.seek(offset + form.tagnosize + tags * form.tagsize)
            following = struct.unpack(form.offsetformat, handle.read(form.offsetsize))[0]
        except (struct.error, ValueError):
            return len(seen)
        seen.add(offset)
        offset = following
    return len(seen) if offset else None  # a damaged chain may also bite its tail
