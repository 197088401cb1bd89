"""The public surface: exactly what ``__all__`` says, light to import, and two clients that are twins."""

from __future__ import annotations

import inspect
import subprocess
import sys

import pytest

import cutaway
from cutaway import errors


def test_all_is_exactly_what_is_there() -> None:
    public = {name for name, value in vars(cutaway).items() if not name.startswith("_") and not inspect.ismodule(value)}
    assert public | {"__version__"} == set(cutaway.__all__)
    assert list(cutaway.__all__) == sorted(cutaway.__all__)


def test_public_names_live_in_the_package_and_are_documented() -> None:
    for name in set(cutaway.__all__) - {"__version__"}:
        value = getattr(cutaway, name)
        assert value.__module__ == "cutaway", name
        assert inspect.getdoc(value), name
        if inspect.isclass(value):
            for method in dir(value):
                if not method.startswith("_") and callable(getattr(value, method)):
                    assert inspect.getdoc(getattr(value, method)), f"{name}.{method}"


def test_every_error_is_public_and_in_the_tree_of_the_docstring() -> None:
    tree = errors.__doc__ or ""
    for name in errors.__all__:
        assert name in cutaway.__all__
        assert issubclass(getattr(cutaway, name), cutaway.CutawayError)
        assert name in tree
    assert issubclass(cutaway.InvalidRequest, ValueError)
    assert issubclass(cutaway.Timeout, TimeoutError)
    assert issubclass(cutaway.ConnectError, ConnectionError)
    assert issubclass(cutaway.ConnectionLost, ConnectionError)


def test_importing_needs_only_the_declared_libraries() -> None:
    script = (
        "import sys; before = set(sys.modules); import cutaway, cutaway.cli;"
        "print(*{name.partition('.')[0] for name in set(sys.modules) - before})"
    )
    output = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout
    foreign = set(output.split()) - sys.stdlib_module_names - {"cutaway"}
    theirs = {"pygments", "markdown_it", "mdurl", "typing_extensions", "__mp_main__"}
    assert foreign <= {"tornado", "msgspec", "click", "rich"} | theirs


TWINS = [
    (cutaway.AsyncClient, cutaway.Client),
    (cutaway.AsyncSnippetStream, cutaway.SnippetStream),
    (cutaway.AsyncSearchStream, cutaway.SearchStream),
    (cutaway.AsyncGeneratedImage, cutaway.GeneratedImage),
]
RENAMED = {
    "aclose": "close",
    "__aenter__": "__enter__",
    "__aexit__": "__exit__",
    "__aiter__": "__iter__",
    "__anext__": "__next__",
}


def _surface(kind: type) -> set[str]:
    dunders = RENAMED.keys() | RENAMED.values()
    return {name for name in dir(kind) if not name.startswith("_") or name in dunders}


def _blocking(text: str | None) -> list[str]:
    for old, new in [
        ("AsyncSnippetStream", "SnippetStream"),
        ("AsyncSearchStream", "SearchStream"),
        ("AsyncGeneratedImage", "GeneratedImage"),
        ("AsyncClient", "Client"),
        ("async with", "with"),
        ("async for", "for"),
        ("await ", ""),
    ]:
        text = (text or "").replace(old, new)
    return (text or "").split()


@pytest.mark.parametrize(("asynchronous", "blocking"), TWINS)
def test_the_twins_have_the_same_surface(asynchronous: type, blocking: type) -> None:
    assert {RENAMED.get(name, name) for name in _surface(asynchronous)} == _surface(blocking)
    for name in _surface(asynchronous):
        ours, theirs = getattr(asynchronous, name), getattr(blocking, RENAMED.get(name, name))
        if callable(ours):
            assert inspect.signature(ours).parameters == inspect.signature(theirs).parameters, name
        if not name.startswith("_"):
            assert _blocking(inspect.getdoc(ours)) == _blocking(inspect.getdoc(theirs)), name


def test_the_clients_take_the_same_arguments_and_document_them_alike() -> None:
    ours, theirs = cutaway.AsyncClient, cutaway.Client
    assert inspect.signature(ours).parameters == inspect.signature(theirs).parameters
    sections = [_blocking((inspect.getdoc(each) or "").partition("Parameters\n")[2]) for each in (ours, theirs)]
    assert sections[0] == sections[1]


def test_the_parts_of_a_search_are_the_protocols() -> None:
    parameters = inspect.signature(cutaway.Client.search).parameters
    for field in cutaway.protocol.SearchRequest.__struct_fields__:
        assert parameters[field].default == getattr(cutaway.protocol.SearchRequest(), field)


def test_the_wishes_are_the_protocols() -> None:
    parameters = inspect.signature(cutaway.Client.snippets).parameters
    for field in cutaway.protocol.SnippetRequest.__struct_fields__:
        if field not in ("video_url", "progress"):
            assert parameters[field].default == getattr(cutaway.protocol.SnippetRequest(video_url=""), field)
