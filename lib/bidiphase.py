"""The offset between the two scan directions of a bidirectional scan.

A resonant or bidirectional scanner records every second row on its way back. If the delay between mirror and sampling
is not quite compensated, rows 1, 3, 5, ... (counted from 0) are displaced against rows 0, 2, 4, ... It is a whole
number of pixels here, so that correcting it moves grey values and changes none.
"""

import numpy as np

SAMPLE = 32  # frames of a recording that are looked at
MOST = 15  # pixels
NOISE = 10.0  # times the squared coherence of rows with nothing in common; one frequency in 20,000 has it by chance
SURE = 5.0  # standard errors by which rows must be more alike with the offset than without


def estimate_offset(frames: np.ndarray) -> int:
    """Return by how many pixels rows 1, 3, 5, ... are displaced to the right; 0 if nothing speaks for an offset.

    Each of these rows is compared with the mean of the rows above and below, which structures at a slant displace in
    opposite directions, by phase correlation over all rows of all frames. Frequencies count as their coherence warrants
    (the maximum likelihood weights of Knapp and Carter, IEEE Transactions on Acoustics, Speech, and Signal Processing
    24, 1976), those with nothing but noise not at all. The best offset is taken if it is better than none by `SURE`
    standard errors of the mean over frames.

    Parameters
    ----------
    frames : ndarray (T, H, W[, C])
        Raw frames from all over the recording.
    """
    frames = frames.reshape(*frames.shape[:3], -1)
    count, height, width = frames.shape[:3]
    most = min(MOST, width // 8)
    if count < 3 or height < 3 or most < 1:
        return 0
    spectra = np.array([_spectra(frame) for frame in frames])
    cross = np.abs(spectra[:, 0].sum(0))
    power = np.sqrt(spectra[:, 1].sum(0).real * spectra[:, 2].sum(0).real)
    power[0] = 0  # the rows' means say nothing about their position
    coherence = np.divide(cross, power, out=np.zeros_like(power), where=power > 0).clip(max=0.999)
    rows = count * ((height - 1) // 2) * frames.shape[3]
    heard = coherence**2 > NOISE / rows
    weight = np.divide(coherence, power * (1 - coherence**2), out=np.zeros_like(power), where=heard)
    offsets = np.arange(-most, most + 1)
    likeness = np.fft.irfft(spectra[:, 0] * weight, width)[:, offsets]  # (T, offsets)
    best = int(likeness.sum(0).argmax())
    gain = likeness[:, best] - likeness[:, most]
    error = gain.std(ddof=1) / np.sqrt(count)
    return int(offsets[best]) if gain.mean() > SURE * error else 0


def shift_rows(frames: np.ndarray, offset: int) -> None:
    """Move rows 1, 3, 5, ... of frames (T, H, W[, C]) to the left by `offset` pixels, in place.

    What comes in from outside the frame is taken from the row above.
    """
    if offset == 0:
        return
    odd = frames[:, 1::2]
    above = frames[:, : 2 * odd.shape[1] : 2]
    if offset > 0:
        odd[:, :, :-offset] = odd[:, :, offset:].copy()
        odd[:, :, -offset:] = above[:, :, -offset:]
    else:
        odd[:, :, -offset:] = odd[:, :, :offset].copy()
        odd[:, :, :-offset] = above[:, :, :-offset]


def _spectra(frame: np.ndarray) -> np.ndarray:
    """Return the cross-spectrum of a frame's rows and their neighbours, and the power of both: (3, frequencies)."""
    images = np.moveaxis(frame, -1, 0).astype(np.float64)
    even, odd = images[:, ::2], images[:, 1::2]
    around = (even[:, :-1] + even[:, 1:]) / 2
    rows = np.stack([around, odd[:, : around.shape[1]]])
    first, second = np.fft.rfft((rows - rows.mean(axis=-1, keepdims=True)) * np.hanning(frame.shape[1]))
    together = [first.conj() * second, np.abs(first) ** 2, np.abs(second) ** 2]
    return np.array([part.sum(axis=(0, 1)) for part in together])
