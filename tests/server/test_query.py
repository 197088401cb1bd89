"""Masking of user names in the URL that messages repeat, for any text."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cutaway_server.sockets.query import BadQuery, given_url, mask_userinfo, read_request


@pytest.mark.parametrize(
    ("url", "masked"),
    [
        ("https://a.example/@b", "https://a.example/@b"),
        ("https://u@a.example/", "https://***@a.example/"),
        ("HTTPS://u:p@w@a.example:80/x?y=z@", "HTTPS://***@a.example:80/x?y=z@"),
        ("//u:p@a.example/", "//***@a.example/"),
        ("http:\\\\u:p@a.example", "http:\\\\***@a.example"),
        ("mailto:u@a.example", "mailto:u@a.example"),
    ],
)
def test_mask_userinfo(url: str, masked: str) -> None:
    assert mask_userinfo(url) == masked


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
