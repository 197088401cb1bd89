"""The protocol's Structs as the tests see them: listed, walked and turned into hypothesis strategies.

Everything is read from the Structs with ``msgspec.inspect``, so that a new message or field is under test as
soon as it exists.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterator
from typing import Any, TypeAlias, get_args

from hypothesis import settings
from hypothesis import strategies as st
from msgspec import Struct, inspect

from cutaway import protocol

VIDEO_STRUCTS: tuple[type[Struct], ...] = get_args(protocol.VideoMessage)
SEARCH_STRUCTS: tuple[type[Struct], ...] = get_args(protocol.SearchMessage)
REQUEST_STRUCTS: tuple[type[Struct], ...] = (protocol.SnippetRequest, protocol.SearchRequest)
TOP_STRUCTS = VIDEO_STRUCTS + SEARCH_STRUCTS + REQUEST_STRUCTS

Codec: TypeAlias = tuple[Callable[[Any], bytes], Callable[[bytes | str], Any]]
VIDEO_CODEC: Codec = (protocol.encode_video, protocol.decode_video)
SEARCH_CODEC: Codec = (protocol.encode_search, protocol.decode_search)
REQUEST_CODEC: Codec = (protocol.encode_request, protocol.decode_request)

CODECS: dict[type[Struct], Codec] = {
    **dict.fromkeys(VIDEO_STRUCTS, VIDEO_CODEC),
    **dict.fromkeys(SEARCH_STRUCTS, SEARCH_CODEC),
    protocol.SearchRequest: REQUEST_CODEC,
}
"""How each Struct that is a frame gets on the wire and off it."""


def struct_type(struct: type[Struct]) -> inspect.StructType:
    """What msgspec knows about a Struct."""
    found = inspect.type_info(struct)
    assert isinstance(found, inspect.StructType)
    return found


def without_none(kind: inspect.Type) -> inspect.Type:
    """The type of an optional field when it is there."""
    if isinstance(kind, inspect.UnionType):
        (kind,) = [choice for choice in kind.types if not isinstance(choice, inspect.NoneType)]
    return kind


def nested_structs(kind: inspect.Type) -> Iterator[inspect.StructType]:
    """The Struct types in and below a type, itself included."""
    kind = without_none(kind)
    if isinstance(kind, inspect.VarTupleType):
        yield from nested_structs(kind.item_type)
    elif isinstance(kind, inspect.StructType):
        yield kind
        for field in kind.fields:
            yield from nested_structs(field.type)


ALL_STRUCTS: dict[str, type[Struct]] = {
    found.cls.__name__: found.cls for top in TOP_STRUCTS for found in nested_structs(struct_type(top))
}
"""Every Struct of the protocol by name, those inside messages included."""


def field_paths(kind: inspect.Type, prefix: str = "") -> Iterator[tuple[str, bool]]:
    """The JSON paths of all leaves (``data.metadata.title``, ``items[].id``), with "is always sent"."""
    assert isinstance(kind, inspect.StructType)
    if kind.tag_field:
        yield prefix + kind.tag_field, True
    for field in kind.fields:
        path, inner = prefix + field.encode_name, without_none(field.type)
        if isinstance(inner, inspect.VarTupleType) and isinstance(inner.item_type, inspect.StructType):
            path, inner = path + "[]", inner.item_type
        if isinstance(inner, inspect.StructType):
            yield from field_paths(inner, path + ".")
        else:
            yield path, field.required or not kind.cls.__struct_config__.omit_defaults


quick = settings(max_examples=50, deadline=None)
"""For all property tests here: no deadline, because CI machines are shared and stall."""

# Surrogates cannot be written as UTF-8, so they are no text for a message (see test_hostile).
_TEXT = st.one_of(st.text(), st.sampled_from(["", "\n", "a\r\nb", "\u2028\x00\x7f", "e\u0301 👩‍💻 العربية", '"\\/']))


def _values(kind: inspect.Type) -> st.SearchStrategy[Any]:
    match kind:
        case inspect.StructType():
            return messages(kind.cls)
        case inspect.UnionType(types=choices):
            return st.one_of([_values(choice) for choice in choices])
        case inspect.VarTupleType(item_type=item):
            return st.lists(_values(item), max_size=4).map(tuple)
        case inspect.LiteralType(values=values):
            return st.sampled_from(values)
        case inspect.IntType(ge=low, le=high):
            # 64 bits are what other languages read; msgspec refuses to write more.
            return st.integers(-(2**63) if low is None else low, 2**63 - 1 if high is None else high)
        case inspect.FloatType(ge=low, le=high):
            # JSON has no NaN and no infinity.
            return st.floats(low, high, allow_nan=False, allow_infinity=False)
        case inspect.StrType():
            return _TEXT
        case inspect.BytesType():
            return st.binary(max_size=300)
        case inspect.BoolType():
            return st.booleans()
        case inspect.NoneType():
            return st.none()
    raise TypeError(f"no strategy for {kind}: add one")


def messages(struct: type[Struct]) -> st.SearchStrategy[Any]:
    """Instances of a Struct, with every combination of its optional fields."""
    if struct is protocol.SnippetRequest:
        return snippet_requests()
    fields = struct_type(struct).fields
    return st.fixed_dictionaries(
        {field.name: _values(field.type) for field in fields if field.required},
        optional={field.name: _values(field.type) for field in fields if not field.required},
    ).map(lambda values: struct(**values))


def snippet_requests() -> st.SearchStrategy[protocol.SnippetRequest]:
    """Valid query strings: the one Struct with a rule between two fields."""
    fields = {field.name: field for field in struct_type(protocol.SnippetRequest).fields}
    seconds = st.lists(_values(fields["min_seconds"].type), min_size=2, max_size=2).map(sorted)
    others = {name: _values(field.type) for name, field in fields.items() if not name.endswith("_seconds")}
    return st.builds(
        lambda span, values: protocol.SnippetRequest(min_seconds=span[0], max_seconds=span[1], **values),
        st.one_of(seconds, st.just([5.0, 30.0])),
        st.fixed_dictionaries({"video_url": others.pop("video_url")}, optional=others),
    )


def builtins(message: Struct) -> Any:
    """The message as ``json.loads`` should give it, made without msgspec's encoder."""

    def plain(value: Any) -> Any:
        if isinstance(value, Struct):
            kind = struct_type(type(value))
            written = {kind.tag_field: kind.tag} if kind.tag_field else {}
            for field in kind.fields:
                item = getattr(value, field.name)
                if type(value).__struct_config__.omit_defaults and not field.required and item == field.default:
                    continue
                written[field.encode_name] = plain(item)
            return written
        if isinstance(value, bytes):
            return base64.b64encode(value).decode()
        return [plain(item) for item in value] if isinstance(value, tuple) else value

    return plain(message)
