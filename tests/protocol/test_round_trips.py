"""Whatever a message holds arrives as it was, in one line of plain JSON."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Struct

from cutaway import protocol

from .structs import CODECS, SEARCH_STRUCTS, builtins, messages, quick


@pytest.mark.parametrize("struct", CODECS, ids=lambda struct: struct.__name__)
@quick
@given(data=st.data())
def test_round_trip(struct: type[Struct], data: st.DataObject) -> None:
    message = data.draw(messages(struct))
    encode, decode = CODECS[struct]

    frame = encode(message)

    assert decode(frame) == message
    assert decode(frame.decode("utf-8")) == message, "a text frame reads as its bytes do"
    assert json.loads(frame) == builtins(message), "any JSON library reads the same"


@pytest.mark.parametrize("struct", CODECS, ids=lambda struct: struct.__name__)
@quick
@given(data=st.data())
def test_the_only_newline_ends_a_search_frame(struct: type[Struct], data: st.DataObject) -> None:
    encode, _ = CODECS[struct]
    frame = encode(data.draw(messages(struct)))
    body, newline, rest = frame.partition(b"\n")
    assert (newline, rest) == ((b"\n", b"") if struct in SEARCH_STRUCTS else (b"", b""))
    assert b"\r" not in body


@quick
@given(st.lists(st.one_of([messages(struct) for struct in SEARCH_STRUCTS]), max_size=5))
def test_joined_search_frames_split_on_newlines(sent: list[Any]) -> None:
    stream = b"".join(protocol.encode_search(message) for message in sent)
    assert [protocol.decode_search(line) for line in stream.split(b"\n")[:-1]] == sent


@pytest.mark.parametrize("struct", CODECS, ids=lambda struct: struct.__name__)
@quick
@given(data=st.data())
def test_field_order_and_white_space_do_not_matter(struct: type[Struct], data: st.DataObject) -> None:
    message = data.draw(messages(struct))
    encode, decode = CODECS[struct]
    fields = json.loads(encode(message))
    turned = json.dumps(dict(reversed(fields.items())), indent=1)
    assert decode(f"\r\n {turned}\t") == message
