"""docs/protocol.md says what the Structs say: each message, field, range, default and example."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from msgspec import Struct, inspect

from cutaway import protocol
from cutaway_server.search.question import BadRequest, read

from .structs import ALL_STRUCTS, CODECS, TOP_STRUCTS, field_paths, struct_type, without_none

PAGE = (Path(__file__).parents[2] / "docs" / "protocol.md").read_text("utf-8")


def rows(text: str) -> list[list[str]]:
    """The cells of the first table in a text, without its header."""
    table = re.search(r"(?:^\|.*\n)+", text, re.MULTILINE)
    assert table, f"no table after: {text[:80]!r}"
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in table[0].splitlines()[2:]]


def sections() -> Iterator[tuple[type[Struct], str]]:
    """Each Struct whose fields the page lists, with the rest of that section: the table and the examples."""
    for section in re.split(r"^#{2,3} ", PAGE, flags=re.MULTILINE):
        if found := re.search(r"Fields of `(\w+)`", section):
            yield ALL_STRUCTS[found[1]], section[found.start() :]


def fenced(language: str, text: str = PAGE) -> list[str]:
    """The fenced code blocks of a language."""
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


SECTIONS = dict(sections())


def test_every_message_and_request_has_a_section() -> None:
    # The parameters have a table of another form, see below.
    assert set(SECTIONS) == set(TOP_STRUCTS) - {protocol.SnippetRequest}
    assert len(list(sections())) == len(SECTIONS), "a message is described twice"


@pytest.mark.parametrize("name", [*ALL_STRUCTS, "VideoMessage", "SearchMessage"])
def test_every_struct_is_named(name: str) -> None:
    assert f"`{name}`" in PAGE


@pytest.mark.parametrize("struct", SECTIONS, ids=lambda struct: struct.__name__)
def test_table_has_exactly_the_fields(struct: type[Struct]) -> None:
    """Both ways: each field of the Struct is in the table, and each row of the table is a field."""
    table = {path.strip("`"): present == "always" for path, _, present, _ in rows(SECTIONS[struct])}
    assert table == dict(field_paths(struct_type(struct)))


@pytest.mark.parametrize("struct", SECTIONS, ids=lambda struct: struct.__name__)
def test_allowed_words_are_named(struct: type[Struct]) -> None:
    """A field with a fixed set of values has all of them in its row."""
    cells = {path.strip("`"): meaning for path, _, _, meaning in rows(SECTIONS[struct])}
    if tag := struct_type(struct).tag:
        assert cells["type"] == f'`"{tag}"`'
    for field in struct_type(struct).fields:
        if isinstance(kind := without_none(field.type), inspect.LiteralType):
            assert set(re.findall(r'`"(\w+)"`', cells[field.encode_name])) == set(kind.values)


def test_parameters_are_those_of_the_request() -> None:
    table = {name.strip("`"): cells for name, *cells in rows(PAGE.partition("### Parameters\n")[2])}
    fields = {field.name: field for field in struct_type(protocol.SnippetRequest).fields}
    assert list(table) == list(fields)
    for name, (kind, default, allowed, _) in table.items():
        field, type_ = fields[name], without_none(fields[name].type)
        if field.required:
            assert default == "required"
        else:
            value = default.strip("`")
            expected = field.default
            assert expected is None if value == "none" else float(value) == float(expected), name
        low, high = getattr(type_, "ge", None), getattr(type_, "le", None)
        if low is not None:
            assert allowed == f"`{low:g}` to `{high:g}`"
        names = {inspect.StrType: "text", inspect.IntType: "integer", inspect.FloatType: "number"}
        assert kind == names.get(type(type_), "boolean")
    assert str(protocol.MAX_URL_CHARACTERS) in table["video_url"][2]


@pytest.mark.parametrize("struct", SECTIONS, ids=lambda struct: struct.__name__)
def test_examples_are_messages(struct: type[Struct]) -> None:
    """Each section has an example; each decodes to the section's Struct and loses nothing on the way."""
    examples = fenced("json", SECTIONS[struct])
    assert examples
    encode, decode = CODECS[struct]
    for example in examples:
        message = decode(example)
        assert type(message) is struct
        written = json.loads(encode(message))
        if struct is not protocol.SearchRequest:
            assert written == json.loads(example)


def test_no_example_is_outside_the_sections() -> None:
    assert sum(len(fenced("json", text)) for text in SECTIONS.values()) == len(fenced("json"))


def test_error_texts_of_the_examples_are_real() -> None:
    query = {"video_url": "https://example.com/talk.mp4", "max_snippets": "51"}
    with pytest.raises(msgspec.ValidationError) as refused:
        protocol.SnippetRequest.from_query(query)
    assert str(refused.value) in PAGE
    with pytest.raises(BadRequest) as bad:
        read('{"source":"away"}')
    assert json.dumps(bad.value.message) in PAGE


def test_program_examples_use_real_names() -> None:
    (python,), (javascript,) = fenced("python"), fenced("js")
    compile(python, "docs/protocol.md", "exec")
    for program in (python, javascript):
        assert protocol.VIDEO_PATH in program
        assert {"snippet", "snippet_complete", "error"} <= set(re.findall(r'"(\w+)"', program))


def test_addresses_are_on_the_page() -> None:
    for path in (protocol.VIDEO_PATH, protocol.SEARCH_PATH, "/health", "/protocol.json"):
        assert f"`{path}`" in PAGE
