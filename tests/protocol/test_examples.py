"""The specifications' own JSON examples, as files: each decodes to its Struct and is written as it was."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from msgspec import Struct

from cutaway import protocol

from .structs import CODECS, SEARCH_STRUCTS, VIDEO_STRUCTS

EXAMPLES = Path(__file__).parent / "examples"

# Not in the specifications' examples: an opt-in type, and the type that the search specification lacks.
ADDED: set[type[Struct]] = {protocol.Progress, protocol.SearchError}

STRUCTS: dict[str, type[Struct]] = {
    "video-snippet": protocol.Snippet,
    "video-error": protocol.VideoError,
    "video-snippet_complete": protocol.SnippetComplete,
    "search-request": protocol.SearchRequest,
    "search-articles_batch": protocol.ArticlesBatch,
    "search-summary_chunk": protocol.SummaryChunk,
    "search-summary_done": protocol.SummaryDone,
    "search-image": protocol.Image,
    "search-image_text": protocol.ImageText,
    "search-image_error": protocol.ImageError,
    "search-done": protocol.Done,
}


def test_every_specified_message_has_an_example() -> None:
    assert {path.stem for path in EXAMPLES.glob("*.json")} == set(STRUCTS)
    assert set(STRUCTS.values()) == {*VIDEO_STRUCTS, *SEARCH_STRUCTS, protocol.SearchRequest} - ADDED


@pytest.mark.parametrize("name", STRUCTS)
@pytest.mark.parametrize("as_text", [False, True], ids=["bytes", "text"])
def test_example_decodes_and_encodes_to_itself(name: str, as_text: bool) -> None:
    text = (EXAMPLES / f"{name}.json").read_text("utf-8")
    struct = STRUCTS[name]
    encode, decode = CODECS[struct]

    message = decode(text if as_text else text.encode())

    assert type(message) is struct
    specified = json.loads(text)
    if struct is protocol.SearchRequest:
        # A request leaves out what is at its default, which says the same.
        specified = {
            key: value for key, value in specified.items() if (key, value) not in {("image", None), ("source", "home")}
        }
    assert json.loads(encode(message)) == specified
    assert decode(encode(message)) == message


def test_values_of_the_examples_arrive() -> None:
    snippet = protocol.decode_video((EXAMPLES / "video-snippet.json").read_bytes())
    assert isinstance(snippet, protocol.Snippet)
    assert snippet.data.video_data == b"\0\0\0\x20ftypisom\0\0\x02\0isomiso2avc1mp41"
    assert snippet.data.metadata.title == "Why the index comes first"
    batch = protocol.decode_search((EXAMPLES / "search-articles_batch.json").read_bytes())
    assert isinstance(batch, protocol.ArticlesBatch)
    assert (batch.items[0].title, batch.items[0].has_video) == ("Grüße aus dem Labor", False)


def test_unknown_extra_fields_are_ignored() -> None:
    """A newer server may add optional fields; an older client still reads the message."""
    frame = b'{"type":"snippet_complete","later":[{"x":1}],"metadata":{"src_video_url":"u","later":null}}'
    assert protocol.decode_video(frame) == protocol.SnippetComplete(metadata=protocol.SourceMetadata(src_video_url="u"))


def test_absent_source_url_is_written_as_empty_text() -> None:
    """``metadata.src_video_url`` is a specified field: it is there even when there was no URL."""
    frame = protocol.encode_video(
        protocol.VideoError(message="video_url is missing", metadata=protocol.SourceMetadata())
    )
    assert json.loads(frame)["metadata"] == {"src_video_url": ""}


def test_unset_extras_are_not_on_the_wire() -> None:
    metadata = protocol.SnippetMetadata(src_video_url="u", title="t", description="")
    frame = protocol.encode_video(protocol.Snippet(data=protocol.SnippetData(video_data=b"", metadata=metadata)))
    assert json.loads(frame)["data"]["metadata"] == {"src_video_url": "u", "title": "t", "description": ""}
