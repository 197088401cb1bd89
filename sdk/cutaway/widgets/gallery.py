"""The snippets of a video as cards that arrive one by one, above them one player.

What comes in are the messages of a snippet stream, what goes out are cards: small states of the widget, each sent once.
A clip leaves the kernel when a browser wants to play it and cannot have it from the server itself.
"""

from __future__ import annotations

import asyncio
import base64
import os
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import traitlets

from cutaway import protocol
from cutaway.filenames import without_controls
from cutaway.loop import background
from cutaway.snippets import AsyncSnippetStream, SnippetStream, read_message
from cutaway.streams import Cursor
from cutaway.sync import Client
from cutaway.values import Snippet, clock, size_of

from .view import View, browser_code

_STEP = 0.02
"""Progress is told when it has come so much further."""


class SnippetGallery(View):
    """The moments of a video, as cards that appear while they are found; one player plays the chosen one.

    The work starts at once and is done on a thread of its own: the kernel is free, and cells may be interrupted. It
    stops with the Stop button, :meth:`stop` or :meth:`close`, and when the cell that made it runs again or is deleted;
    then the gallery forgets its snippets, too.

    A saved notebook keeps the cards with their posters, but not the videos, unless they are embedded.

    Parameters
    ----------
    url_or_stream : str, path-like or SnippetStream
        The video, as :meth:`cutaway.Client.snippets` takes it; or the stream that it returned. Iterating over that
        stream takes nothing away from the gallery, nor the gallery from the stream.
    client : Client or None
        Whom to ask; None is one of the server at ``ws://localhost:8000``.
    folder : str or path-like
        Where Save and Save all write, made when it is not there; beside the notebook unless it is absolute.
    embed : bool
        Keep the videos in the notebook, a third larger than they are, so that it plays without a kernel.
    **wishes
        What else :meth:`cutaway.Client.snippets` takes: ``max_snippets``, ``min_seconds``, ``max_seconds``,
        ``max_height``.

    Raises
    ------
    InvalidRequest
        As :meth:`cutaway.Client.snippets`. Everything else is told in the gallery.

    Examples
    --------
    >>> gallery = SnippetGallery("https://example.com/talk.mp4", client=client)  # doctest: +SKIP
    >>> gallery.snippets[0].title  # doctest: +SKIP
    """

    _esm = browser_code("gallery.js")
    count = traitlets.Int(0).tag(sync=True)
    """How many cards there are; the n-th is the state ``card_n``, counted from 0."""

    def __init__(
        self,
        url_or_stream: str | os.PathLike[str] | SnippetStream,
        *,
        client: Client | None = None,
        folder: str | os.PathLike[str] = "snippets",
        embed: bool = False,
        **wishes: Any,
    ) -> None:
        cell = None
        if isinstance(url_or_stream, SnippetStream):
            if client is not None or wishes:
                raise TypeError("a stream knows its client and wishes already: give a gallery nothing but the stream")
            stream, cell = url_or_stream._stream, url_or_stream._cell
        elif isinstance(url_or_stream, AsyncSnippetStream):
            raise TypeError("a gallery shows the streams of cutaway.Client; iterate over those of AsyncClient")
        else:
            stream = (client or Client()).snippets(url_or_stream, **wishes)._stream
        place = stream._share()  # now, or a loop that begins in the next moment would take something away
        self._stream = stream
        self._snippets: list[Snippet] = []
        self._cards: dict[str, dict[str, Any]] = {}
        self._folder = f"{os.fspath(folder)}/"
        self._embed = embed
        self._saved: dict[int, Path] = {}
        self._saving = asyncio.Lock()
        source = without_controls(stream._source_url)
        status = {"state": "running", "source": source, "stage": "", "fraction": 0, "error": "", "note": ""}
        super().__init__(cell=cell, status=status)
        self._start(partial(self._follow, stream, place))

    # --- what has come

    @property
    def snippets(self) -> tuple[Snippet, ...]:
        """What has come so far."""
        return tuple(self._snippets)

    @property
    def result(self) -> list[Snippet]:
        """What has come so far; after :meth:`wait`, all."""
        return list(self._snippets)

    def save_all(self, folder: str | os.PathLike[str] | None = None) -> list[Path]:
        """Write what has come so far to disk.

        Parameters
        ----------
        folder : str or path-like or None
            Where; made when it is not there. None is the gallery's own folder, in which nothing is written twice.

        Returns
        -------
        list of Path
            The files, named after the titles; none replaces another file.

        Raises
        ------
        OSError
            The folder cannot be made or written to, or the disk is full.
        """
        if folder is not None:
            return [snippet.save(f"{os.fspath(folder)}/") for snippet in self._snippets]
        return background().run(self._save(range(len(self._snippets))))

    def __repr__(self) -> str:
        return f"<SnippetGallery {self.status.get('source', '')[:80]!r}: {len(self._snippets)} snippets, {self.state}>"

    # --- the stream

    async def _follow(self, stream: AsyncSnippetStream, place: Cursor[protocol.VideoMessage]) -> None:
        try:
            while (message := await stream._next(place)) is not None:
                match value := read_message(message, stream._address):
                    case Snippet():
                        self._add(value)
                    case None:
                        self._end("done")
                    case _:
                        self._progress(value.stage, value.fraction)
        except Exception as error:
            self._end("failed", error)
        else:
            if self.state == "running":
                self._end("stopped")

    async def _stop(self) -> None:
        await self._stream.aclose()

    def _progress(self, stage: str, fraction: float) -> None:
        known = self.status
        if stage != known["stage"] or abs(fraction - known["fraction"]) >= _STEP:
            self._say(stage=stage, fraction=round(fraction, 3))

    def _add(self, snippet: Snippet) -> None:
        card = card_of(snippet)
        if snippet.url is not None:
            card["url"] = snippet.url
        if self._embed:
            card["video"] = base64.b64encode(snippet.video).decode()
        self._snippets.append(snippet)
        self._cards[f"card_{len(self._cards)}"] = card
        self.count = len(self._cards)

    def get_state(self, key: Any = None, drop_defaults: bool = False) -> dict[str, Any]:
        """ipywidgets' own: with the cards, of which the last goes along with a new count."""
        state: dict[str, Any] = super().get_state(key, drop_defaults)
        if key is None:
            return {**state, **self._cards}
        if key == "count" and self._cards:
            return {**dict([next(reversed(self._cards.items()))]), **state}
        return state

    # --- the browser

    async def _asked(self, content: dict[str, Any], buffers: list[Any]) -> None:
        match content:
            case {"do": "play", "card": int(number)} if 0 <= number < len(self._snippets):
                self.send({"clip": number, "type": "video/mp4"}, buffers=[self._snippets[number].video])
            case {"do": "save", "card": int(number)} if 0 <= number < len(self._snippets):
                await self._save([number])
            case {"do": "save_all"}:
                await self._save(range(len(self._snippets)))
            case {"do": "stop"}:
                await self._stop()

    async def _save(self, numbers: Sequence[int]) -> list[Path]:
        files = []
        async with self._saving:
            for number in numbers:
                file = self._saved.get(number)
                if file is None or not file.exists():
                    snippet = self._snippets[number]
                    file = self._saved[number] = await asyncio.to_thread(snippet.save, self._folder)
                files.append(file)
        if files:
            where = str(files[0]) if len(files) == 1 else f"{len(files)} files in {files[0].parent}/"
            self._say(note=without_controls(f"Saved: {where}"), saved=sorted(self._saved))
        return files

    def _forget(self) -> None:
        for kept in (self._snippets, self._cards, self._stream._kept):
            kept.clear()


def card_of(snippet: Snippet) -> dict[str, Any]:
    """What a browser shows of a snippet before it is played."""
    card: dict[str, Any] = {
        "title": without_controls(snippet.title) or "(without a title)",
        "description": without_controls(snippet.description),
        "size": size_of(snippet),
        "by": snippet.by or "",
        "time": "",
        "length": "",
    }
    if snippet.start is not None and snippet.end is not None:
        card["time"] = f"{clock(snippet.start)}–{clock(snippet.end)}"
        card["length"] = f"{int(snippet.end - snippet.start + 0.5)} s"
    if snippet.poster is not None:
        card["poster"] = base64.b64encode(snippet.poster).decode()
    return card
