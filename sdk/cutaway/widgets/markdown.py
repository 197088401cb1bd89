"""A summary's Markdown as a small tree of names and texts, of which the browser makes elements.

What comes in was written by a model or copied from strangers' pages; what goes out holds no HTML at all: nodes are
texts, or ``[name, link, children]`` with a name out of a short list and a link that is http(s) or None. Raw HTML in the
Markdown is text, images are their alternative texts, and ``[1]`` is a link to the first article.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, TypeAlias

from markdown_it import MarkdownIt
from markdown_it.tree import SyntaxTreeNode

from cutaway.articles import safe_link
from cutaway.filenames import without_controls

Node: TypeAlias = "str | list[Any]"

_NAMES = {
    "paragraph": "p",
    "heading": "h4",
    "em": "em",
    "strong": "strong",
    "s": "s",
    "bullet_list": "ul",
    "ordered_list": "ol",
    "list_item": "li",
    "blockquote": "blockquote",
    "table": "table",
    "thead": "thead",
    "tbody": "tbody",
    "tr": "tr",
    "th": "th",
    "td": "td",
    "hr": "hr",
    "hardbreak": "br",
}
_MARKER = re.compile(r"(\[\d{1,3}\])")
_parser = MarkdownIt("js-default", {"html": False, "maxNesting": 20})


def tree(text: str, links: Mapping[str, str]) -> list[Node]:
    """The nodes of a text.

    Parameters
    ----------
    text : str
        Markdown, perhaps only its beginning.
    links : mapping
        Where ``[1]`` leads, by its number: addresses of :func:`cutaway.articles.safe_link`.
    """
    return _children(SyntaxTreeNode(_parser.parse(text)), links)


def _children(node: SyntaxTreeNode, links: Mapping[str, str]) -> list[Node]:
    return [made for child in node.children for made in _made(child, links)]


def _made(node: SyntaxTreeNode, links: Mapping[str, str]) -> Iterator[Node]:
    match node.type:
        case "text" | "html_inline" | "html_block":
            yield from _marked(node.content, links)
        case "softbreak":
            yield " "
        case "inline":
            yield from _children(node, links)
        case "code_inline":
            yield ["code", None, [_clean(node.content)]]
        case "fence" | "code_block":
            yield ["pre", None, ["\n".join(map(_code_line, node.content.rstrip("\n").split("\n")))]]
        case "image":
            yield _clean(node.content)
        case "link":
            link = safe_link(str(node.attrs.get("href", "")))
            children = _children(node, {})
            yield from children if link is None else [["a", link, children]]
        case name if name in _NAMES:
            yield [_NAMES[name], None, _children(node, links)]
        case _:
            yield from _children(node, links)


def _marked(text: str, links: Mapping[str, str]) -> Iterator[Node]:
    for part in _MARKER.split(text):
        link = links.get(part[1:-1]) if _MARKER.fullmatch(part) else None
        if link is not None:
            yield ["a", link, [part]]
        elif part:
            yield _clean(part)


def _clean(text: str) -> str:
    """Text without what could change how its surroundings look, its outer spaces kept."""
    kept = without_controls(text)
    return f"{' ' * text[:1].isspace()}{kept}{' ' * (text[-1:].isspace() and bool(kept))}"


def _code_line(line: str) -> str:
    """A line of code without controls, its indentation kept."""
    return " " * (len(line) - len(line.lstrip())) + without_controls(line)
