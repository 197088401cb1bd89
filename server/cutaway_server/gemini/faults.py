"""What can go wrong with the model, in a small set of faults.

Comes in: whatever google-genai, google-auth or the transport raised. Goes out: a :class:`ModelFault` whose message says
what happened and what to do next, without a key, a host or a word of theirs; and, for the operator's log, a code, a
status and a reason, from which nothing secret can be read either.
"""

from __future__ import annotations

import re
import traceback
from collections.abc import Iterator
from typing import Any, ClassVar

from cutaway_server.errors import Fault

_MOST_RETRY_SECONDS = 24 * 3600.0


class ModelFault(Fault):
    """The model gave no answer, or no whole one.

    Attributes
    ----------
    retryable
        Whether the same question may be answered when it is asked again soon.
    retry_seconds
        How long the service wants to be left alone first; None: it did not say.
    """

    retryable: ClassVar[bool] = False
    says: ClassVar[str] = "The model failed: try again later."

    def __init__(self, message: str = "", *, retry_seconds: float | None = None) -> None:
        super().__init__(message or self.says)
        self.retry_seconds = retry_seconds


class Unreachable(ModelFault):
    """No connection, or one that broke."""

    retryable = True
    says = "The model's service could not be reached, or broke off: try again in a minute."


class Barred(Unreachable):
    """The way there is not to be trusted, or not open to this server."""

    retryable = False


class Overloaded(ModelFault):
    """The service has no room, or failed inside."""

    retryable = True
    says = "The model's service is overloaded or out of order at the moment: try again in a minute."


class QuotaExceeded(ModelFault):
    """This server asked too often, or too much."""

    retryable = True
    says = "This server has asked the model too often, and has to wait before it may ask again: try again later."


class TooSlow(ModelFault):
    """No first result within the budget."""

    says = "The model had no answer in time: try again later."


class Stalled(ModelFault):
    """Nothing came any more in the middle of an answer."""

    says = "The model stopped in the middle of its answer: try again."


class NotAllowed(ModelFault):
    """The key or the credentials are missing, wrong, or not enough."""

    says = "The model's service does not accept this server's key or credentials: its operator has to set valid ones."


class NoSuchModel(ModelFault):
    """The configured model does not exist."""

    says = "The model that this server is set to use does not exist: its operator has to choose another one."


class AskRefused(ModelFault):
    """The service does not take the question as it is."""

    says = "The model's service does not take this request: try a shorter or simpler one, or another image or video."


class Blocked(ModelFault):
    """A filter of the service stopped the question or the answer."""

    says = "The model's filters stopped its answer: ask in other words."


class CutOff(ModelFault):
    """The answer has no proper end."""

    says = "The model's answer broke off before its end: try again, or ask for less."


class Unfinished(CutOff):
    """The stream ended without saying why: a connection that is lost may look like that, too."""

    retryable = True
    says = Unreachable.says


class NoAnswer(ModelFault):
    """All is well, but nothing was said."""

    retryable = True
    says = "The model gave an empty answer: try again, or ask in other words."


class Garbled(ModelFault):
    """What came is not in the service's format."""

    says = "The model's service answered with something that cannot be read: try again later."


class FileRefused(ModelFault):
    """An uploaded file cannot be used."""

    says = "The model's service could not read the file that it was sent: try another video or image."


_BLOCKED_QUESTION = "The model's filters refuse this request: ask in other words, or with another image or video."
_RECITED = "The model's answer repeated a text of others and was stopped: ask in other words."
_TOO_LONG = "The model's answer became too long and was cut off: ask for less."
_NO_IMAGE = "The model drew no image for this request: ask in other words."
_TOO_LARGE = "This request is too large for the model: send a smaller image, or a shorter text or video."
_NO_PLACE = (
    "The model's service is not offered to this server, in its place or to its account: its operator has to look."
)
_NO_CREDENTIALS = "This server has no credentials for the model's service: its operator has to set them."
_PROXY = (
    "The proxy before the model's service wants a name and a password that this server does not have: its operator has "
    "to set them."
)
_PACKED = (
    "The model's service, or a gateway before it, compresses its answers though it was asked not to: the server's "
    "operator has to look."
)
_CERTIFICATE = "The model's service has a TLS certificate that cannot be verified: the server's operator has to look."

_FINISHES: dict[str, tuple[type[ModelFault], str]] = {
    "MAX_TOKENS": (CutOff, _TOO_LONG),
    "CONTINUATION": (CutOff, _TOO_LONG),
    "RECITATION": (Blocked, _RECITED),
    "IMAGE_RECITATION": (Blocked, _RECITED),
    "NO_IMAGE": (Blocked, _NO_IMAGE),
    "IMAGE_OTHER": (Blocked, _NO_IMAGE),
    "SAFETY": (Blocked, ""),
    "IMAGE_SAFETY": (Blocked, ""),
    "BLOCKLIST": (Blocked, ""),
    "PROHIBITED_CONTENT": (Blocked, ""),
    "IMAGE_PROHIBITED_CONTENT": (Blocked, ""),
    "SPII": (Blocked, ""),
    "ESCALATION": (Blocked, ""),
    "MODEL_ARMOR": (Blocked, ""),
    "LANGUAGE": (Blocked, ""),
}


def bad_finish(reason: str) -> ModelFault:
    """The fault of an answer that ended with a ``finishReason`` other than STOP."""
    kind, message = _FINISHES.get(reason, (CutOff, ""))
    return kind(message)


def blocked_question() -> ModelFault:
    """The fault of a question that was not even tried."""
    return Blocked(_BLOCKED_QUESTION)


def too_long() -> ModelFault:
    """The fault of an answer beyond all bounds."""
    return CutOff(_TOO_LONG)


def packed(code: int) -> ModelFault:
    """The fault of an answer that is compressed, which nobody asked for: of one that is an error, the error."""
    return _explain_answer(code, "", []) if code >= 400 else Garbled(_PACKED)


def explain(error: BaseException) -> ModelFault:
    """Return the fault that an exception of google-genai, google-auth or the transport stands for."""
    # Not at the top: they are worth half a second, and loaded long since when there is something to explain.
    import httpx2
    from google.auth import exceptions as auth
    from google.genai import errors

    if isinstance(error, ModelFault):
        return error
    if isinstance(error, errors.APIError):
        return _explain_answer(error.code, str(error.status or ""), list(_details(error.details)))
    if isinstance(error, auth.TransportError) or (isinstance(error, auth.RefreshError) and error.retryable):
        return Unreachable()
    if isinstance(error, auth.GoogleAuthError):
        return NotAllowed(_NO_CREDENTIALS if isinstance(error, auth.DefaultCredentialsError) else "")
    if isinstance(error, httpx2.ConnectError) and "CERTIFICATE_VERIFY_FAILED" in str(error):
        return Barred(_CERTIFICATE)
    if isinstance(error, httpx2.ProxyError) and str(error).startswith("407"):
        return Barred(_PROXY)
    if isinstance(error, httpx2.DecodingError | httpx2.LocalProtocolError):
        return Garbled()
    if isinstance(error, httpx2.TransportError | OSError):
        return Unreachable()
    return Garbled()


def _explain_answer(code: object, status: str, details: list[dict[str, Any]]) -> ModelFault:
    """An answer that is an error, by its HTTP code (or the one in a stream's event) and Google's own status."""
    reasons = {str(each.get("reason", "")) for each in details}
    if reasons & {"API_KEY_INVALID", "API_KEY_EXPIRED"} or code == 401 or status == "UNAUTHENTICATED":
        return NotAllowed()
    if code == 403 or status == "PERMISSION_DENIED":
        return NotAllowed()
    if code == 404 or status == "NOT_FOUND":
        return NoSuchModel()
    if code == 429 or status == "RESOURCE_EXHAUSTED":
        seconds = _retry_seconds(details)
        wait = "" if seconds is None else f"{QuotaExceeded.says.rpartition(':')[0]}: try again in {_in_words(seconds)}."
        return QuotaExceeded(wait, retry_seconds=seconds)
    if status == "FAILED_PRECONDITION":
        return NotAllowed(_NO_PLACE)
    if code == 413:
        return AskRefused(_TOO_LARGE)
    if code == 407:
        return Barred(_PROXY)
    if code == 408:
        return Unreachable()
    if isinstance(code, int) and 400 <= code < 500:
        return AskRefused()
    if isinstance(code, int) and 500 <= code < 600 and code != 501:
        return Overloaded(retry_seconds=_retry_seconds(details))
    return Garbled()


def _details(details: object) -> Iterator[dict[str, Any]]:
    """The details of an error in whatever shape it came."""
    if isinstance(details, list):
        for each in details:
            yield from _details(each)
    elif isinstance(details, dict):
        error = details.get("error", details)
        found = error.get("details") if isinstance(error, dict) else None
        yield from (each for each in found or () if isinstance(each, dict)) if isinstance(found, list) else ()


def _retry_seconds(details: list[dict[str, Any]]) -> float | None:
    for each in details:
        delay = re.fullmatch(r"(\d{1,9}(?:\.\d{1,9})?)s", str(each.get("retryDelay", "")))
        if delay:
            return min(float(delay[1]), _MOST_RETRY_SECONDS)
    return None


def _in_words(seconds: float) -> str:
    if seconds < 90:
        whole = max(1, round(seconds + 0.5))
        return f"{whole} second{'s' if whole > 1 else ''}"
    return f"{round(seconds / 60 + 0.5)} minutes"


def describe(error: BaseException) -> str:
    """Return what an operator has to know of an exception, and nothing that could be a secret: no free text."""
    name = type(error).__name__
    status, details = getattr(error, "status", None), getattr(error, "details", None)
    if status is not None or details is not None:
        reasons = [str(each.get("reason", "")) for each in _details(details)]
        words = (str(getattr(error, "code", "")), str(status or ""), *reasons)
        return " ".join([name, *(word for word in words if re.fullmatch(r"[A-Z0-9_]{1,64}", word))])
    last = traceback.extract_tb(error.__traceback__)[-1:]
    where = f" in {last[0].name} ({last[0].filename.rpartition('/')[2]}:{last[0].lineno})" if last else ""
    return f"{name}{where}"
