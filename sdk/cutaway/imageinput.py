"""The image of a search request: from what a program or a notebook has at hand to what goes on the wire.

What comes in is a path, bytes, an open file, a PIL image, a ``data:`` URL or base64; what goes out is base64 of a
PNG, JPEG, GIF or WebP that is not too large. Nothing is decoded here but the first bytes, which tell the type.
"""

from __future__ import annotations

import base64
import binascii
import contextlib
import io
import os
from pathlib import Path
from typing import IO, Any, Protocol, TypeAlias, runtime_checkable

from .errors import InvalidRequest
from .protocol import MAX_IMAGE_BYTES

_NAMES = "PNG, JPEG, GIF or WebP"
_BASE64_STARTS = ("iVBORw0KGgo", "/9j/", "R0lGOD", "UklGR")
"""The same four types, in base64."""


@runtime_checkable
class PILImage(Protocol):
    """What is needed of a ``PIL.Image.Image``."""

    mode: str
    format: Any
    info: Any

    def save(self, fp: Any, format: Any = None, **params: Any) -> None:  # noqa: A002 (Pillow's name)
        """Write it."""

    def convert(self, mode: str) -> Any:
        """Another mode of it."""


ImageInput: TypeAlias = "str | os.PathLike[str] | bytes | bytearray | memoryview | IO[bytes] | PILImage"


def encode_image(image: ImageInput) -> str:
    """The image in base64.

    Raises
    ------
    InvalidRequest
        It cannot be read, is none of the four types, or is too large; the message says which.
    """
    content, name = _read(image)
    if len(content) > MAX_IMAGE_BYTES:
        raise InvalidRequest(f"{name} has more than {MAX_IMAGE_BYTES // 2**20} MiB: make it smaller, 1,000 pixels do")
    if not _is_image(content):
        what = "is empty" if not content else f"is not a {_NAMES}"
        raise InvalidRequest(f"{name} {what}")
    return base64.b64encode(content).decode()


def _read(image: ImageInput) -> tuple[bytes, str]:
    match image:
        case bytes() | bytearray() | memoryview():
            return bytes(image), "the image"
        case str() if image.startswith("data:"):
            return _from_base64(image.partition(",")[2]), "the image of the data: URL"
        case str() | os.PathLike():
            return _from_path(image)
        case PILImage():
            return _from_pil(image), "the image"
    if not hasattr(image, "read"):
        raise InvalidRequest(
            f"image={type(image).__name__}: give a path, bytes, an open file, a PIL image, or a data: URL"
        )
    content = image.read(MAX_IMAGE_BYTES + 1)
    if not isinstance(content, bytes):
        raise InvalidRequest("the file of the image is open as text: open it with mode 'rb'")
    return content, "the file of the image"


def _from_path(image: str | os.PathLike[str]) -> tuple[bytes, str]:
    text = os.fspath(image)
    try:
        with Path(text).expanduser().open("rb") as file:
            return file.read(MAX_IMAGE_BYTES + 1), repr(text)
    except (OSError, ValueError, RuntimeError) as error:  # missing, too long a name, a NUL, no such ~user
        if isinstance(image, str) and text.startswith(_BASE64_STARTS):
            return _from_base64(text), "the image"
        shown = text if len(text) <= 200 else f"{text[:199]}…"
        if text.lower().startswith(("http://", "https://")):
            raise InvalidRequest(f"image={shown!r} is a URL: download it and give its bytes") from None
        reason = "no such file" if isinstance(error, FileNotFoundError) else error
        if isinstance(error, OSError) and error.strerror and not isinstance(error, FileNotFoundError):
            reason = error.strerror
        raise InvalidRequest(f"cannot read the image {shown!r}: {reason}") from None


def _from_base64(text: str) -> bytes:
    try:
        return base64.b64decode("".join(text.split()), validate=True)
    except (binascii.Error, ValueError) as error:
        raise InvalidRequest(f"the image is not valid base64: {error}") from None


def _from_pil(image: PILImage) -> bytes:
    # In its own format if it has one, because a photo as PNG is ten times as large; with its EXIF, whose
    # description is something to search for. JPEG takes what PNG does not: other modes, and photos of any size.
    kind = image.format if image.format in ("PNG", "JPEG", "GIF", "WEBP") else "PNG"
    with contextlib.suppress(OSError, ValueError):
        if len(content := _saved(image, kind)) <= MAX_IMAGE_BYTES:
            return content
    try:
        return _saved(image.convert("RGB"), "JPEG")
    except (OSError, ValueError) as error:
        raise InvalidRequest(f"the image cannot be encoded: {error}") from error


def _saved(image: PILImage, kind: str) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, format=kind, exif=image.info.get("exif", b""))
    return buffer.getvalue()


def _is_image(content: bytes) -> bool:
    return content.startswith((b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"GIF87a", b"GIF89a")) or (
        content[:4] == b"RIFF" and content[8:12] == b"WEBP"
    )
