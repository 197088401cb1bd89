"""The JSON Schema that ``/protocol.json`` serves: valid, met by every message, and not by wrong ones."""

from __future__ import annotations

import copy
import functools
import json
from typing import Any

import jsonschema
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Struct, inspect

from cutaway import protocol

from .structs import (
    ALL_STRUCTS,
    CODECS,
    REQUEST_STRUCTS,
    SEARCH_STRUCTS,
    TOP_STRUCTS,
    VIDEO_STRUCTS,
    messages,
    quick,
    struct_type,
)
from .test_examples import EXAMPLES, STRUCTS

Validator = jsonschema.Draft202012Validator


@functools.cache
def validator(name: str) -> Any:
    """A validator for one entry of ``$defs``."""
    return Validator({**protocol.json_schema(), "$ref": f"#/$defs/{name}"})


def entries(struct: type[Struct]) -> list[str]:
    """The entries of ``$defs`` that messages of this Struct must meet."""
    names = [struct.__name__]
    if struct in VIDEO_STRUCTS:
        names.append("VideoMessage")
    if struct in SEARCH_STRUCTS:
        names.append("SearchMessage")
    return names


def written(message: Any) -> Any:
    """A message or request as a JSON value, by the encoder that puts it on the wire."""
    return json.loads(protocol.encode_request(message))


def test_is_a_valid_schema_and_plain_json() -> None:
    schema = protocol.json_schema()
    assert schema["$schema"] == Validator.META_SCHEMA["$id"]
    Validator.check_schema(schema)
    assert json.loads(json.dumps(schema)) == schema


def test_has_every_struct_and_no_dangling_reference() -> None:
    schema = protocol.json_schema()
    assert set(schema["$defs"]) == {*ALL_STRUCTS, "VideoMessage", "SearchMessage"}
    assert set(references_in(schema)) <= {f"#/$defs/{name}" for name in schema["$defs"]}


def references_in(value: Any) -> list[str]:
    """All ``$ref`` below a JSON value."""
    if isinstance(value, dict):
        own = [value["$ref"]] if "$ref" in value else []
        return own + [found for item in value.values() for found in references_in(item)]
    if isinstance(value, list):
        return [found for item in value for found in references_in(item)]
    return []


@pytest.mark.parametrize("name", STRUCTS)
def test_examples_validate(name: str) -> None:
    example = json.loads((EXAMPLES / f"{name}.json").read_text("utf-8"))
    for entry in entries(STRUCTS[name]):
        validator(entry).validate(example)


@pytest.mark.parametrize("struct", TOP_STRUCTS, ids=lambda struct: struct.__name__)
@quick
@given(data=st.data())
def test_generated_messages_validate(struct: type[Struct], data: st.DataObject) -> None:
    message = written(data.draw(messages(struct)))
    for entry in entries(struct):
        validator(entry).validate(message)


@pytest.mark.parametrize("struct", TOP_STRUCTS, ids=lambda struct: struct.__name__)
@quick
@given(data=st.data())
def test_wrong_messages_do_not_validate(struct: type[Struct], data: st.DataObject) -> None:
    """One field missing, or of a wrong type: refused by the schema and by the decoder alike."""
    right = written(data.draw(messages(struct)))
    kind = struct_type(struct)
    required = [field.encode_name for field in kind.fields if field.required]
    tagged = [kind.tag_field] if kind.tag_field else []
    wrongs: list[Any] = [None, [], 1, "", [right]]
    wrongs += [{key: value for key, value in right.items() if key != name} for name in required + tagged]
    wrongs += [{**right, field.encode_name: wrong_value(field.type)} for field in kind.fields]
    if tagged:
        wrongs.append({**right, "type": "snippets"})
    wrong = data.draw(st.sampled_from(wrongs))

    for entry in entries(struct):
        assert not validator(entry).is_valid(copy.deepcopy(wrong)), entry
    if struct in CODECS:
        _, decode = CODECS[struct]
        with pytest.raises(msgspec.ValidationError):
            decode(json.dumps(wrong))


def wrong_value(kind: inspect.Type) -> Any:
    """A JSON value that no field of this type takes."""
    return 7 if not isinstance(kind, inspect.IntType | inspect.FloatType) else "seven"


@pytest.mark.parametrize("struct", REQUEST_STRUCTS, ids=lambda struct: struct.__name__)
def test_ranges_are_in_the_schema(struct: type[Struct]) -> None:
    properties = protocol.json_schema()["$defs"][struct.__name__]["properties"]
    for field in struct_type(struct).fields:
        if not field.required:
            assert properties[field.encode_name]["default"] == field.default


@pytest.mark.parametrize(
    "wrong",
    [
        {},
        {"video_url": None},
        {"video_url": "u", "max_snippets": 0},
        {"video_url": "u", "max_snippets": 51},
        {"video_url": "u", "max_snippets": 2.5},
        {"video_url": "u", "min_seconds": 0.5},
        {"video_url": "u", "max_seconds": 301},
        {"video_url": "u", "max_height": 15},
        {"video_url": "u", "progress": 1},
        {"video_url": "u", "quality": "best"},
    ],
)
def test_wrong_requests_do_not_validate(wrong: dict[str, Any]) -> None:
    assert not validator("SnippetRequest").is_valid(wrong)


def test_messages_of_one_socket_are_not_those_of_the_other() -> None:
    done, complete = {"type": "done"}, {"type": "snippet_complete", "metadata": {"src_video_url": ""}}
    assert validator("SearchMessage").is_valid(done)
    assert not validator("VideoMessage").is_valid(done)
    assert validator("VideoMessage").is_valid(complete)
    assert not validator("SearchMessage").is_valid(complete)
