"""What a model is asked, and what it answers, in values of our own: whoever asks knows nothing of google-genai."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias


@dataclass(frozen=True, slots=True)
class Blob:
    """Bytes that travel with the question."""

    data: bytes
    mime_type: str


@dataclass(frozen=True, slots=True)
class Linked:
    """A file that the model's service reads by itself: one that was uploaded, or a public YouTube video.

    Attributes
    ----------
    start, end
        The stretch of a video to look at, in seconds; None: from its beginning, to its end.
    fps
        Frames of a video to look at per second; None: the service's default.
    """

    uri: str
    mime_type: str
    start: float | None = None
    end: float | None = None
    fps: float | None = None


Part: TypeAlias = "str | Blob | Linked"


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """One question to a model.

    Attributes
    ----------
    model
        Its name, such as ``gemini-3.8-flash``.
    parts
        What is asked, in its order.
    instruction
        Who the model is and what it obeys: the only text that gives orders.
    schema
        JSON Schema of the answer; None: plain text.
    images
        The answer may have images between its texts.
    search
        The model may search the web.
    low_resolution
        Videos and images are looked at coarsely: a third of the tokens, and sooner answered.
    """

    model: str
    parts: tuple[Part, ...]
    instruction: str = ""
    schema: Mapping[str, Any] | None = None
    images: bool = False
    search: bool = False
    low_resolution: bool = False


@dataclass(frozen=True, slots=True)
class Text:
    """The next piece of the answer's text, never empty, cut anywhere."""

    text: str


@dataclass(frozen=True, slots=True)
class Picture:
    """An image of the answer, not checked yet."""

    data: bytes
    mime_type: str


@dataclass(frozen=True, slots=True)
class Grounding:
    """What the model has found on the web so far: pairs of URL and title, and the piece of HTML that has to be
    shown with what was said.
    """

    pages: tuple[tuple[str, str], ...]
    search_entry_point: str


Answer: TypeAlias = "Text | Picture | Grounding"
