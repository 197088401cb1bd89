"""A frame from a stranger is read or refused with ``msgspec.DecodeError``; nothing else ever comes out."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Struct

from cutaway import protocol

from .structs import CODECS, messages, quick

Decode = Callable[[bytes | str], Any]
DECODERS: list[Decode] = [protocol.decode_video, protocol.decode_search, protocol.decode_request]
each_decoder = pytest.mark.parametrize("decode", DECODERS, ids=lambda decode: decode.__name__)


def read_or_refuse(decode: Decode, frame: bytes | str) -> None:
    try:
        decode(frame)
    except msgspec.DecodeError as error:
        assert str(error)


@each_decoder
@quick
@given(frame=st.one_of(st.binary(), st.text(st.characters(exclude_categories=()))))
def test_any_frame(decode: Decode, frame: bytes | str) -> None:
    read_or_refuse(decode, frame)


@each_decoder
@quick
@given(
    value=st.recursive(
        st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text()),
        lambda inner: st.one_of(st.lists(inner), st.dictionaries(st.text(), inner)),
    )
)
def test_any_json(decode: Decode, value: object) -> None:
    # Integers beyond 64 bits and NaN included, which only the standard library writes.
    read_or_refuse(decode, json.dumps(value))


@pytest.mark.parametrize("struct", CODECS, ids=lambda struct: struct.__name__)
@quick
@given(data=st.data())
def test_damaged_frames(struct: type[Struct], data: st.DataObject) -> None:
    encode, decode = CODECS[struct]
    frame = encode(data.draw(messages(struct)))
    start, end = sorted(data.draw(st.lists(st.integers(0, len(frame)), min_size=2, max_size=2), label="replaced"))
    read_or_refuse(decode, frame[:start] + data.draw(st.binary(max_size=8), label="by") + frame[end:])
    read_or_refuse(decode, frame[:start])


OPENINGS: dict[Decode, bytes] = {
    protocol.decode_video: b'{"type":"error","x":',
    protocol.decode_search: b'{"type":"done","x":',
    protocol.decode_request: b'{"text":"a","x":',
}


@each_decoder
@pytest.mark.parametrize("nest", [b"[", b'{"a":', b'[{"a":'], ids=["arrays", "objects", "both"])
def test_deep_nesting_is_refused(decode: Decode, nest: bytes) -> None:
    """An ignored field is still parsed: 100 kB of brackets must not end in a RecursionError."""
    with pytest.raises(msgspec.DecodeError):
        decode(OPENINGS[decode] + nest * 100_000)


@pytest.mark.parametrize(
    ("decode", "frame"),
    [
        (protocol.decode_video, b'{"type":"error","message":"\xff","metadata":{}}'),
        (protocol.decode_search, b'{"type":"summary_chunk","text":"\xed\xa0\x80"}\n'),
        (protocol.decode_request, b'{"text":"\xc3("}'),
        (protocol.decode_request, '{"text":"\ud800"}'),
        (protocol.decode_request, b'{"text":"\\ud800"}'),
    ],
)
def test_what_is_not_unicode_is_refused(decode: Decode, frame: bytes | str) -> None:
    with pytest.raises(msgspec.DecodeError):
        decode(frame)


@pytest.mark.parametrize(
    ("decode", "frame", "names"),
    [
        (protocol.decode_video, b'{"type":"done"}', "done"),
        (protocol.decode_video, b'{"metadata":{"src_video_url":""}}', "type"),
        (protocol.decode_video, b'{"type":"snippet_complete"}', "metadata"),
        (protocol.decode_video, b'{"type":"error","message":1,"metadata":{}}', "$.message"),
        (
            protocol.decode_video,
            b'{"type":"snippet","data":{"video_data":"***","metadata":{}}}',
            "$.data.video_data",
        ),
        (
            protocol.decode_video,
            b'{"type":"progress","stage":"cut","fraction":1.5,"metadata":{}}',
            "$.fraction",
        ),
        (protocol.decode_search, b'{"type":"snippet_complete","metadata":{}}', "snippet_complete"),
        (protocol.decode_search, b'{"type":"articles_batch","items":[{}]}', "$.items[0]"),
        (protocol.decode_request, b"[]", "array"),
        (protocol.decode_request, b'{"text":5}', "$.text"),
        (protocol.decode_request, b'{"source":"away"}', "$.source"),
    ],
)
def test_json_that_is_no_message_says_where(decode: Decode, frame: bytes, names: str) -> None:
    with pytest.raises(msgspec.ValidationError) as caught:
        decode(frame)
    assert names in str(caught.value)
