"""The query string of ``/ws/video-snippets``: read, written, and refused by name."""

from __future__ import annotations

from urllib.parse import parse_qsl, urlencode

import msgspec
import pytest
from hypothesis import given

from cutaway.protocol import SnippetRequest

from .structs import quick, snippet_requests, struct_type


@quick
@given(snippet_requests())
def test_round_trip(request: SnippetRequest) -> None:
    query = request.to_query()
    assert SnippetRequest.from_query(query) == request
    assert all(isinstance(value, str) for value in query.values())


@quick
@given(snippet_requests())
def test_round_trip_through_a_url(request: SnippetRequest) -> None:
    pairs = parse_qsl(urlencode(request.to_query()), keep_blank_values=True, strict_parsing=True)
    assert SnippetRequest.from_query(dict(pairs)) == request


def test_defaults_are_left_out() -> None:
    assert SnippetRequest(video_url="https://example.com/a.mp4").to_query() == {
        "video_url": "https://example.com/a.mp4"
    }


def test_every_parameter_is_written_as_text() -> None:
    request = SnippetRequest(
        video_url="https://example.com/a.mp4?x=1&y=ü",
        max_snippets=3,
        min_seconds=2.5,
        max_seconds=12,
        max_height=720,
        progress=True,
    )
    assert request.to_query() == {
        "video_url": "https://example.com/a.mp4?x=1&y=ü",
        "max_snippets": "3",
        "min_seconds": "2.5",
        "max_seconds": "12",
        "max_height": "720",
        "progress": "1",
    }


@pytest.mark.parametrize(
    ("text", "value"), [("1", True), ("true", True), ("True", True), ("0", False), ("false", False)]
)
def test_progress_spellings(text: str, value: bool) -> None:
    assert SnippetRequest.from_query({"video_url": "u", "progress": text}).progress is value


@pytest.mark.parametrize(
    ("query", "named"),
    [
        ({}, "video_url"),
        ({"max_snippets": "3"}, "video_url"),
        ({"video_url": "u", "max_snippets": "0"}, "max_snippets"),
        ({"video_url": "u", "max_snippets": "51"}, "max_snippets"),
        ({"video_url": "u", "max_snippets": "-1"}, "max_snippets"),
        ({"video_url": "u", "max_snippets": "2.5"}, "max_snippets"),
        ({"video_url": "u", "max_snippets": "many"}, "max_snippets"),
        ({"video_url": "u", "max_snippets": ""}, "max_snippets"),
        ({"video_url": "u", "max_snippets": "9" * 5000}, "max_snippets"),
        ({"video_url": "u", "min_seconds": "0.99"}, "min_seconds"),
        ({"video_url": "u", "min_seconds": "nan"}, "min_seconds"),
        ({"video_url": "u", "min_seconds": "1e400"}, "min_seconds"),
        ({"video_url": "u", "min_seconds": "５"}, "min_seconds"),
        ({"video_url": "u", "max_seconds": "300.1"}, "max_seconds"),
        ({"video_url": "u", "max_seconds": "inf"}, "max_seconds"),
        ({"video_url": "u", "max_seconds": "-inf"}, "max_seconds"),
        ({"video_url": "u", "max_seconds": "NaN"}, "max_seconds"),
        ({"video_url": "u", "max_seconds": "4"}, "max_seconds"),
        ({"video_url": "u", "min_seconds": "31"}, "min_seconds"),
        ({"video_url": "u", "max_height": "15"}, "max_height"),
        ({"video_url": "u", "max_height": "4321"}, "max_height"),
        ({"video_url": "u", "max_height": "720p"}, "max_height"),
        ({"video_url": "u", "max_height": ""}, "max_height"),
        ({"video_url": "u", "progress": "2"}, "progress"),
        ({"video_url": "u", "progress": "yes"}, "progress"),
        ({"video_url": "u", "progress": ""}, "progress"),
        ({"video_url": "u", "quality": "best"}, "quality"),
    ],
)
def test_refused_by_name(query: dict[str, str], named: str) -> None:
    with pytest.raises(msgspec.ValidationError) as caught:
        SnippetRequest.from_query(query)
    assert named in str(caught.value)


@pytest.mark.parametrize("field", struct_type(SnippetRequest).fields, ids=lambda field: field.name)
def test_borders_are_inside(field: msgspec.inspect.Field) -> None:
    """Both ends of every range are taken (the other length follows, so that only the range is tested)."""
    for kind in getattr(field.type, "types", (field.type,)):
        for border in (getattr(kind, "ge", None), getattr(kind, "le", None)):
            if border is not None:
                values = {"video_url": "u", "min_seconds": "1", "max_seconds": "300", field.name: str(border)}
                assert getattr(SnippetRequest.from_query(values), field.name) == border
