"""The query: what is read from any text, and what is refused before it is read."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cutaway_server.sockets.query import BadQuery, given_url, read_request


@pytest.mark.parametrize("query", ["a=1&" * 250_000, "&" * 60_000, "video_url=" + "%" * 1_000_000])
def test_a_huge_query_is_refused_before_it_is_parsed(query: str) -> None:
    before = time.process_time()
    assert given_url(query) == ""
    with pytest.raises(BadQuery, match=r"too long: \d+ bytes \(at most 65536\)|too many parameters"):
        read_request(query)
    assert time.process_time() - before < 0.02


@given(st.text(alphabet=st.characters(max_codepoint=255), max_size=200))
def test_any_query_is_read_or_refused(query: str) -> None:
    given_url(query).encode()
    try:
        request = read_request(query)
    except BadQuery as refusal:
        assert refusal.message.encode()
        assert len(refusal.message) < 1000
    else:
        assert request.video_url
