"""Generated images: what a search says of one, and its bytes when somebody wants them.

A message has only a path on the server; :class:`AsyncGeneratedImage` fetches what is behind it, once, and
:class:`GeneratedImage` is its blocking twin.
"""

from __future__ import annotations

import base64
import html
import os
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, TypeAlias

from .errors import CutawayError, ProtocolError
from .filenames import safe_stem, save, without_controls
from .loop import background

__all__ = ["AsyncGeneratedImage", "GeneratedImage"]

_Bytes: TypeAlias = bytes
_SUFFIXES = {"image/png": ".png", "image/jpeg": ".jpg", "image/webp": ".webp", "image/gif": ".gif"}


class AsyncGeneratedImage:
    """An image that the server made for a search. Its bytes are fetched when they are asked for.

    Attributes
    ----------
    url : str
        Where it is, for as long as the server keeps it.
    mime_type : str
        Such as ``"image/png"``.
    by : str or None
        Who made it: ``"gemini"`` or ``"local"``.
    data : bytes or None
        Its bytes, when they have been fetched.
    """

    def __init__(
        self, url: str, mime_type: str, by: str | None, name: str, fetch: Callable[[], Awaitable[_Bytes]]
    ) -> None:
        self.url = url
        self.mime_type = mime_type
        self.by = by
        self._data: _Bytes | None = None
        self._name = name
        self._fetch = fetch

    @property
    def data(self) -> _Bytes | None:
        """Its bytes, when they have been fetched."""
        return self._data

    async def bytes(self) -> _Bytes:
        """The image file; fetched from the server the first time.

        Raises
        ------
        ServerError
            The server does not keep it any more.
        CutawayError
            Another failure: no connection, too slow, too large (over 32 MiB), of another type.
        """
        if self.mime_type not in _SUFFIXES:
            raise ProtocolError(f"the server announced an image of the unknown type {self.mime_type[:60]!r}")
        if self._data is None:
            self._data = await self._fetch()
        return self._data

    async def save(self, path: str | os.PathLike[str] = ".") -> Path:
        """Write the image to disk; the file is complete or not there at all.

        Parameters
        ----------
        path : str or path-like
            A directory: the file is named after the search and never replaces another one (``comets (2).png``).
            A trailing slash makes the directory first. Anything else: the file itself, replaced if it is
            there. ``~`` is expanded.

        Returns
        -------
        Path
            The file that was written.

        Raises
        ------
        CutawayError
            It could not be fetched.
        OSError
            The directory is missing or not writable, or the disk is full.
        """
        content = await self.bytes()
        return save(path, safe_stem(self._name, otherwise="image"), _SUFFIXES[self.mime_type], content)

    def __repr__(self) -> str:
        return _repr(self)

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> dict[str, Any]:
        return _mimebundle(self)


class GeneratedImage:
    """An image that the server made for a search. Its bytes are fetched when they are asked for.

    Showing it in a notebook asks for them, too.

    Attributes
    ----------
    url : str
        Where it is, for as long as the server keeps it.
    mime_type : str
        Such as ``"image/png"``.
    by : str or None
        Who made it: ``"gemini"`` or ``"local"``.
    data : bytes or None
        Its bytes, when they have been fetched.
    """

    def __init__(self, image: AsyncGeneratedImage) -> None:
        self._image = image
        self.url = image.url
        self.mime_type = image.mime_type
        self.by = image.by

    @property
    def data(self) -> _Bytes | None:
        """Its bytes, when they have been fetched."""
        return self._image.data

    def bytes(self) -> _Bytes:
        """The image file; fetched from the server the first time.

        Raises
        ------
        ServerError
            The server does not keep it any more.
        CutawayError
            Another failure: no connection, too slow, too large (over 32 MiB), of another type.
        """
        return background().run(self._image.bytes())

    def save(self, path: str | os.PathLike[str] = ".") -> Path:
        """Write the image to disk; the file is complete or not there at all.

        Parameters
        ----------
        path : str or path-like
            A directory: the file is named after the search and never replaces another one (``comets (2).png``).
            A trailing slash makes the directory first. Anything else: the file itself, replaced if it is
            there. ``~`` is expanded.

        Returns
        -------
        Path
            The file that was written.

        Raises
        ------
        CutawayError
            It could not be fetched.
        OSError
            The directory is missing or not writable, or the disk is full.
        """
        return background().run(self._image.save(path))

    def __repr__(self) -> str:
        return _repr(self)

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> dict[str, Any]:
        return _mimebundle(self)


def image_html(image: AsyncGeneratedImage | GeneratedImage) -> str:
    """The picture, or a word on why there is none."""
    try:
        content = image.bytes() if isinstance(image, GeneratedImage) else image.data
        reason = "await its bytes() to see it"
    except CutawayError as error:
        content, reason = None, str(error)
    if content is None:
        return f"<i>{html.escape(without_controls(f'{image!r}: {reason}'))}</i>"
    data = base64.b64encode(content).decode()
    return f'<img src="data:{image.mime_type};base64,{data}" alt="" style="max-width:320px;border-radius:4px">'


def _repr(image: AsyncGeneratedImage | GeneratedImage) -> str:
    size = "not fetched" if image.data is None else f"{len(image.data) / 1e3:.0f} kB"
    return f"<{type(image).__name__} {without_controls(image.mime_type)[:40]} ({size})>"


def _mimebundle(image: AsyncGeneratedImage | GeneratedImage) -> dict[str, Any]:
    bundle = {"text/html": image_html(image), "text/plain": repr(image)}
    if image.data is not None:
        bundle[image.mime_type] = base64.b64encode(image.data).decode()
    return bundle
