"""Decoders for pictures: of their own for each purpose, bounded in size, apart from the demuxer's."""

from __future__ import annotations

import av

MAX_PIXELS = 9_437_184
"""Larger frames (4096x2304) are refused: two files of 200 kB needed 2.5 GB each to decode."""
STRICT = "crccheck+bitstream+buffer+explode"
"""Value of ``err_detect``: damage is an exception, not a guess."""


def decoder_of(stream: av.VideoStream, *, threads: int = 2, **options: str) -> av.VideoCodecContext:
    """A fresh decoder for the packets of a stream.

    Parameters
    ----------
    threads
        How many; with one, a picture comes out as soon as it is decoded.
    options
        Options of libavcodec besides ``max_pixels``.
    """
    decoder = av.CodecContext.create(stream.codec_context.codec.name, "r")
    assert isinstance(decoder, av.VideoCodecContext)
    source = stream.codec_context
    decoder.extradata = source.extradata
    # What some formats tell in the container only.
    decoder.width, decoder.height, decoder.codec_tag = source.width, source.height, source.codec_tag
    decoder.bits_per_coded_sample = source.bits_per_coded_sample
    decoder.thread_count = threads
    if threads > 1:
        decoder.thread_type = "AUTO"
    decoder.options = {"max_pixels": str(MAX_PIXELS), **options}
    return decoder
