"""Sound as numbers: packets decoded to mono samples, and their levels over time."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import av
import numpy as np
from numpy.typing import NDArray

SOUND_RATE = 8_000
"""Samples per second: enough to tell loud from quiet."""
LEVEL_SECONDS = 0.05
SILENT_LEVEL = 10 ** (-50 / 20)
"""Below -50 dB of full scale nobody hears anything."""


def listen(source: av.AudioCodecContext, packets: Iterable[av.Packet[Any]]) -> NDArray[np.float32]:
    """Decode packets of one audio stream to mono samples at ``SOUND_RATE``; damaged packets are left out."""
    decoder = av.CodecContext.create(source.codec.name, "r")
    assert isinstance(decoder, av.AudioCodecContext)
    decoder.extradata = source.extradata
    if source.rate:
        decoder.sample_rate = source.rate
    if source.layout.nb_channels:
        decoder.layout = source.layout
    resampler = av.AudioResampler("flt", "mono", SOUND_RATE)
    parts: list[NDArray[Any]] = []
    for packet in packets:
        try:
            frames = decoder.decode(packet)
        except av.FFmpegError:
            continue
        for frame in frames:
            frame.pts = None
            try:
                parts += [out.to_ndarray().reshape(-1) for out in resampler.resample(frame)]
            except ValueError:  # A damaged header claims another rate or other channels.
                continue
    return np.concatenate(parts).astype(np.float32, copy=False) if parts else np.zeros(0, np.float32)


def levels(samples: NDArray[np.float32]) -> NDArray[np.float64]:
    """Root mean square levels of steps of ``LEVEL_SECONDS``, full scale 1.0."""
    step = int(SOUND_RATE * LEVEL_SECONDS)
    count = len(samples) // step
    blocks = samples[: count * step].reshape(count, step).astype(np.float64)
    return np.asarray(np.sqrt((blocks**2).mean(axis=1)))
