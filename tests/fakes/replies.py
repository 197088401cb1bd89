"""What the fake Gemini answers with: chunks of a stream, things that happen between them, and whole failures.

A *step* of an answer is one of

* a ``str``: the next piece of text;
* a function without arguments: a piece of text that is made when it is sent, such as :func:`clock`;
* a ``dict``: any chunk, as it goes over the wire; the functions below build the usual ones;
* ``bytes``: sent as they are, where the events are (garbage, or a recorded stream);
* :class:`Pause`, :class:`Gate`, :data:`STALL`, :data:`DROP`, :data:`HANG_UP`, :data:`UNFINISHED`: what happens there;
* a :class:`Failure`, alone: the whole answer is an error.
"""

from __future__ import annotations

import asyncio
import base64
import json
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

Chunk: TypeAlias = "dict[str, Any]"


@dataclass(frozen=True)
class Pause:
    """Nothing is sent for some seconds."""

    seconds: float


class Gate:
    """Nothing is sent until the test opens it; :attr:`reached` tells that everything before was sent."""

    def __init__(self) -> None:
        self._opened = threading.Event()
        self.reached = threading.Event()

    def open(self) -> None:
        """Let the answer go on."""
        self._opened.set()

    async def pass_(self) -> None:
        """Wait at the gate; on the fake's own loop."""
        self.reached.set()
        while not self._opened.is_set():  # noqa: ASYNC110  # opened from another thread
            await asyncio.sleep(0.0005)


@dataclass(frozen=True)
class Mark:
    """A way for an answer to go wrong; each has one name below."""

    name: str


STALL = Mark("stall")
"""Send nothing more and keep the connection open until the client leaves."""
DROP = Mark("drop")
"""Reset the connection."""
HANG_UP = Mark("hang up")
"""Close the connection in the middle of the body."""
UNFINISHED = Mark("unfinished")
"""End the stream in good order, but without a finishReason."""


@dataclass(frozen=True)
class Failure:
    """An answer that is an error: a status and a body."""

    status: int
    body: bytes
    headers: dict[str, str] = field(default_factory=dict)


Step: TypeAlias = "str | Callable[[], str] | Chunk | bytes | Pause | Gate | Mark | Failure"


_ABOUT: Chunk = {
    "usageMetadata": {
        "promptTokenCount": 277,
        "candidatesTokenCount": 37,
        "totalTokenCount": 884,
        "promptTokensDetails": [{"modality": "TEXT", "tokenCount": 19}, {"modality": "IMAGE", "tokenCount": 258}],
        "thoughtsTokenCount": 570,
        "serviceTier": "standard",
    },
    "modelVersion": "fake",
    "responseId": "JAkEaq3kBvGXz7IPmbWEuQE",
}
"""What the service says with every chunk; as much of it as in recorded answers."""


def chunk(*parts: Chunk, finish: str | None = None, **candidate: Any) -> Chunk:
    """A chunk with these parts in candidate 0."""
    first: Chunk = {"content": {"parts": list(parts), "role": "model"}, "index": 0, **candidate}
    if finish:
        first["finishReason"] = finish
    return {"candidates": [first], **_ABOUT}


def text(words: str, finish: str | None = None) -> Chunk:
    """A piece of text."""
    return chunk({"text": words}, finish=finish)


def clock() -> str:
    """A piece of text: the seconds of ``time.perf_counter()`` at which it is sent, and a blank."""
    return f"{time.perf_counter():.6f} "


def thought(words: str) -> Chunk:
    """A piece of what the model thinks, which is no answer."""
    return chunk({"text": words, "thought": True})


def picture(data: bytes, mime_type: str = "image/png") -> Chunk:
    """An image."""
    return chunk({"inlineData": {"mimeType": mime_type, "data": base64.b64encode(data).decode()}})


def finish(reason: str = "STOP") -> Chunk:
    """The last chunk: an empty text with a signature, as models that think send it."""
    return chunk({"text": "", "thoughtSignature": "c2lnbmF0dXJl"}, finish=reason)


def grounding(pages: Iterable[tuple[str, str]], entry_point: str = "<div>Search</div>", **candidate: Any) -> Chunk:
    """What a search found (pairs of URL and title), without any text."""
    found: Chunk = {
        "groundingChunks": [{"web": {"uri": url, "title": title}} for url, title in pages],
        "searchEntryPoint": {"renderedContent": entry_point},
        "webSearchQueries": ["a question"],
    }
    return chunk(groundingMetadata=found, **candidate)


def pieces(words: str, size: int) -> list[Step]:
    """A longer text as pieces of `size` characters, cut anywhere."""
    return [words[n : n + size] for n in range(0, len(words), size)]


def objects(values: Sequence[Any], size: int = 1 << 20) -> list[Step]:
    """Values as a JSON array in pieces of `size` characters, cut anywhere."""
    return pieces(json.dumps(values, ensure_ascii=False), size)


def blocked(reason: str = "SAFETY") -> Chunk:
    """The question is refused: feedback, and no candidates."""
    return {"promptFeedback": {"blockReason": reason, "safetyRatings": []}}


def no_candidates() -> Chunk:
    """A chunk in which nothing is answered."""
    return dict(_ABOUT)


def failure(code: int, status: str, message: str, *details: Chunk) -> Failure:
    """An error in Google's usual form."""
    error: Chunk = {"code": code, "message": message, "status": status}
    if details:
        error["details"] = list(details)
    return Failure(code, json.dumps({"error": error}).encode())


def quota(retry_seconds: float | None = None) -> Failure:
    """429: too many requests, perhaps with the time to wait."""
    details: list[Chunk] = [{"@type": "type.googleapis.com/google.rpc.QuotaFailure", "violations": []}]
    if retry_seconds is not None:
        details.append({"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": f"{retry_seconds:g}s"})
    return failure(429, "RESOURCE_EXHAUSTED", "You exceeded your current quota.", *details)


def bad_key(key: str = "") -> Failure:
    """400: the key is wrong; some of these messages repeat it."""
    reason: Chunk = {"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": "API_KEY_INVALID"}
    return failure(400, "INVALID_ARGUMENT", f"API key not valid. Consumer 'api_key:{key}'.", reason)


def forbidden(key: str = "") -> Failure:
    """403: the key is right, but not for this."""
    return failure(403, "PERMISSION_DENIED", f"Permission denied: Consumer 'api_key:{key}' has been suspended.")


def no_model(model: str = "models/none") -> Failure:
    """404: there is no such model."""
    return failure(404, "NOT_FOUND", f"{model} is not found for API version v1.")


def overloaded() -> Failure:
    """503: try again later."""
    return failure(503, "UNAVAILABLE", "The model is overloaded. Please try again later.")


def recorded(path: Path) -> Step:
    """A recorded body: a stream as bytes, a whole answer as a chunk, an error (``error_<status>_...``) as a failure."""
    kind, _, rest = path.name.partition("_")
    if kind == "error":
        return Failure(int(rest[:3]), path.read_bytes())
    if path.suffix == ".json":
        answer: Chunk = json.loads(path.read_bytes())
        return answer
    return path.read_bytes()
