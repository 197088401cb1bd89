"""What a snippet stream yields: :class:`Snippet` and :class:`Progress`, values that know how to show themselves.

They are made from the messages of :mod:`cutaway.protocol`. Text in them was written by strangers; it is
escaped where it is shown here. In Jupyter a snippet is its poster and its words: the video is never put into
a notebook by itself.
"""

from __future__ import annotations

import base64
import html
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .filenames import safe_stem, save, without_controls

__all__ = ["Progress", "Snippet"]


@dataclass(frozen=True, slots=True)
class Progress:
    """How far the server is.

    Attributes
    ----------
    stage : str
        ``"resolve"`` (what is behind the URL?), ``"analyse"`` (where are the moments?) or ``"cut"``.
    fraction : float
        How much of the stage is done, 0 to 1.
    """

    stage: str
    fraction: float


@dataclass(frozen=True, slots=True, repr=False)
class Snippet:
    """One interesting moment of a video: a complete MP4 and what is known about it.

    Attributes
    ----------
    title, description : str
        Plain text.
    src_video_url : str
        The URL or path that was asked for.
    video : bytes
        A complete MP4 (H.264, AAC) that players and browsers start at once.
    start, end : float or None
        Its place in the source, in seconds; None if the server does not tell.
    poster : bytes or None
        A small JPEG.
    by : str or None
        Who found the moment and wrote its words: ``"gemini"`` or ``"local"``.
    url : str or None
        Where players can have the same MP4 from the server, for as long as it keeps it; None if it does not, or if its
        address has a password in it.
    """

    title: str
    description: str
    src_video_url: str
    video: bytes = field(repr=False)
    start: float | None = None
    end: float | None = None
    poster: bytes | None = field(default=None, repr=False)
    by: str | None = None
    url: str | None = None

    @property
    def duration(self) -> float | None:
        """Length in seconds; None if the server does not tell."""
        return None if self.start is None or self.end is None else self.end - self.start

    def save(self, path: str | os.PathLike[str] = ".") -> Path:
        """Write the video to disk; the file is complete or not there at all.

        Parameters
        ----------
        path : str or path-like
            A directory: the file is named after the title and never replaces another one (``Title (2).mp4``).
            A trailing slash makes the directory first. Anything else: the file itself, replaced if it is
            there. ``~`` is expanded.

        Returns
        -------
        Path
            The file that was written.

        Raises
        ------
        OSError
            The directory is missing or not writable, or the disk is full.

        Examples
        --------
        >>> snippet.save("highlights/")  # doctest: +SKIP
        PosixPath('highlights/The rocket lifts off.mp4')
        """
        return save(path, safe_stem(self.title), ".mp4", self.video)

    def __repr__(self) -> str:
        title = self.title if len(self.title) <= 60 else f"{self.title[:59]}…"
        return f"<Snippet {title!r} {_facts(self)}>"

    def _repr_mimebundle_(
        self, include: object = None, exclude: object = None
    ) -> dict[str, Any]:  # IPython's protocol; marimo and VS Code use it too
        bundle = {"text/plain": repr(self), "text/html": _html(self)}
        if self.poster is not None:
            bundle["image/jpeg"] = base64.b64encode(self.poster).decode()
        return bundle


def clock(seconds: float) -> str:
    """``0:07``, ``12:30`` or ``1:02:03``; halves are rounded up, as in the server's titles."""
    minutes, second = divmod(max(0, int(seconds + 0.5)), 60)
    hours, minute = divmod(minutes, 60)
    return f"{hours}:{minute:02}:{second:02}" if hours else f"{minute}:{second:02}"


def size_of(snippet: Snippet) -> str:
    """``840 kB`` or ``1.2 MB``."""
    size_bytes = len(snippet.video)
    return f"{size_bytes / 1e6:.1f} MB" if size_bytes >= 1e6 else f"{size_bytes / 1e3:.0f} kB"


def _facts(snippet: Snippet) -> str:
    """Where in the source, how long, how large."""
    size = size_of(snippet)
    if snippet.start is None or snippet.end is None:
        return f"({size})"
    return f"{clock(snippet.start)}–{clock(snippet.end)} ({snippet.end - snippet.start:.1f} s, {size})"


def _html(snippet: Snippet) -> str:
    title, description, source = (
        html.escape(without_controls(text)) for text in (snippet.title, snippet.description, snippet.src_video_url)
    )
    picture = ""
    if snippet.poster is not None:
        data = base64.b64encode(snippet.poster).decode()
        picture = f'<img src="data:image/jpeg;base64,{data}" alt="" style="max-width:320px;border-radius:4px">'
    words = f'<b>{title}</b><br>{description}<br><small style="opacity:.7">{_facts(snippet)}<br>{source}</small>'
    return f'<div style="display:flex;gap:1em;align-items:flex-start">{picture}<div>{words}</div></div>'
