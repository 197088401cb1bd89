"""The summary's Markdown becomes names and texts, never HTML, whatever it holds."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cutaway.widgets.markdown import Node, tree

WORDS = "p h4 em strong s ul ol li blockquote table thead tbody tr th td hr br code pre a"
ALLOWED = frozenset(WORDS.split())
LINKS = {"1": "https://example.com/one"}


def elements(nodes: list[Node]) -> Iterator[list[Any]]:
    for node in nodes:
        if not isinstance(node, str):
            yield node
            yield from elements(node[2])


def words(nodes: list[Node]) -> str:
    return "".join(node if isinstance(node, str) else words(node[2]) for node in nodes)


def test_what_models_write_is_understood() -> None:
    text = "## Bees\n\nThey *find* **flowers** [1].\n\n- by `sight`\n- by smell [2]\n\n| a | b |\n|---|---|\n| 1 | 2 |"
    names = [name for name, _, _ in elements(tree(text, LINKS))]
    assert names == [
        "h4",
        "p",
        "em",
        "strong",
        "a",
        "ul",
        "li",
        "p",
        "code",
        "li",
        "p",
        "table",
        "thead",
        "tr",
        "th",
        "th",
        "tbody",
        "tr",
        "td",
        "td",
    ]
    assert ["a", "https://example.com/one", ["[1]"]] in list(elements(tree(text, LINKS)))
    assert "[2]" in words(tree(text, LINKS)), "no such article: a text"


@pytest.mark.parametrize(
    "text",
    [
        "<script>alert(1)</script>",
        "<img src=x onerror=alert(1)>",
        "a <b onclick='alert(1)'>b</b>",
        "<iframe srcdoc='<script>alert(1)</script>'></iframe>",
        "<style>*{display:none}</style>",
        "<!-- x --><a href='javascript:alert(1)'>y</a>",
    ],
)
def test_raw_html_is_text(text: str) -> None:
    nodes = tree(text, LINKS)
    assert words(nodes) == text
    assert [name for name, _, _ in elements(nodes)] == ["p"]


@pytest.mark.parametrize(
    "address",
    [
        "javascript:alert(1)",
        "JaVaScRiPt:alert(1)",
        "java&#115;cript:alert(1)",
        "vbscript:x",
        "data:text/html,<script>alert(1)</script>",
        "data:image/svg+xml,x",
        "file:///etc/passwd",
        "//example.com/x",
        "/lab?reset",
        "ftp://example.com/x",
    ],
)
@pytest.mark.parametrize("form", ["[here]({})", "[here](<{}>)", "[here][x]\n\n[x]: {}", "![here]({})", "<{}>"])
def test_links_to_elsewhere_than_the_web_are_none(form: str, address: str) -> None:
    nodes = tree(form.format(address), LINKS)
    assert all(link is None for _, link, _ in elements(nodes))
    assert not any(name == "a" for name, _, _ in elements(nodes))


def test_links_to_the_web_are_links_and_images_are_words() -> None:
    assert tree("[here](https://example.com/x)", {}) == [["p", None, [["a", "https://example.com/x", ["here"]]]]]
    assert tree("![a tracker](https://example.com/x.png)", {}) == [["p", None, ["a tracker"]]]


def test_controls_of_terminals_and_of_directions_are_gone() -> None:
    nodes = tree("a \x1b[31mred\x07 \u202eb\n\n    \x1b]0;code\u202e\n\n`\x1bc`", {})
    assert not {"\x1b", "\x07", "\u202e"} & set(words(nodes))
    assert "a [31mred b" in words(nodes)


def test_what_is_nested_without_end_is_not_followed() -> None:
    assert tree("> " * 5000 + "x", {})
    assert tree("[" * 5000 + "x", {})
    assert tree("*a " * 5000, {})


PIECES = [
    "<",
    ">",
    "&",
    '"',
    "[1]",
    "[x](",
    "javascript:",
    "https://e.org",
    ")",
    "![",
    "`",
    "```\n",
    "\n",
    "*",
    "- ",
    "|",
]


@given(st.lists(st.sampled_from(PIECES) | st.text(max_size=8), max_size=40).map("".join))
def test_anything_is_names_of_the_list_and_links_of_the_web(text: str) -> None:
    for name, link, children in elements(tree(text, LINKS)):
        assert name in ALLOWED
        assert isinstance(children, list)
        assert link is None or (name == "a" and link.startswith(("http://", "https://", "HTTP", "Http")))
