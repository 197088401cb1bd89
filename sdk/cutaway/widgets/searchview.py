"""A search box and its answer, which fills while it comes: articles, the summary, images.

What comes in are questions, from the page or from a program, and the events of search streams; what goes out are small
states of the widget. A generated image leaves the kernel when a browser wants to show it.
"""

from __future__ import annotations

import asyncio
from functools import partial
from typing import Any, Literal

import traitlets

from cutaway import protocol
from cutaway.answer import SearchResult, SummaryChunk
from cutaway.articles import Article, safe_link
from cutaway.errors import CutawayError, InvalidRequest
from cutaway.filenames import without_controls
from cutaway.imageinput import ImageInput
from cutaway.images import AsyncGeneratedImage, GeneratedImage
from cutaway.loop import background
from cutaway.search import SearchStream
from cutaway.streams import everything
from cutaway.sync import Client

from .markdown import tree
from .view import View, browser_code, in_words

_PAUSE_SECONDS = 0.08
"""Between two states of a growing answer: more often, nobody sees."""


class SearchView(View):
    """A text box, an image, a choice of the source, and the answer to each question, part by part as it comes.

    Each search replaces the one before; one that still runs is stopped. What was found is :attr:`result`. The work is
    done on a thread of its own: the kernel is free, and cells may be interrupted. It stops with the Stop button,
    :meth:`stop` or :meth:`close`, and when the cell that made it runs again or is deleted.

    A saved notebook keeps the articles and the summary, but not the images.

    Parameters
    ----------
    client : Client, SearchStream or None
        Whom to ask; None is one of the server at ``ws://localhost:8000``. Of a stream, the view shows the answer,
        without a text box.
    text : str or None
        What to search for at once.
    source : str
        ``"home"`` ranks by relevance, the switch's *Best match*; ``"stumber"`` surprises, its *Surprise me*. What the
        switch says at first.

    Raises
    ------
    InvalidRequest
        As :meth:`cutaway.Client.search`. Everything else is told in the view.

    Examples
    --------
    >>> view = SearchView(client)  # doctest: +SKIP
    >>> view.result.articles.to_dataframe()  # doctest: +SKIP
    """

    _esm = browser_code("search.js")
    asks = traitlets.Bool(True).tag(sync=True)
    """Whether there is a text box."""
    articles: traitlets.List[Any] = traitlets.List().tag(sync=True)
    """One entry for each article."""
    summary: traitlets.List[Any] = traitlets.List().tag(sync=True)
    """The nodes of the summary."""
    images: traitlets.List[Any] = traitlets.List().tag(sync=True)
    """One entry for each image: who made it."""
    about = traitlets.Dict().tag(sync=True)
    """What is said beside: captions, who wrote the summary, which parts failed."""

    def __init__(
        self,
        client: Client | SearchStream | None = None,
        *,
        text: str | None = None,
        source: Literal["home", "stumber"] = "home",
    ) -> None:
        if not isinstance(client, Client | SearchStream | None):
            kind = type(client).__name__
            raise TypeError(f"a search view asks a client, or shows a stream of Client.search: not a {kind}")
        self._client = client if isinstance(client, Client) else None
        self._stream: SearchStream | None = None
        self._images: list[AsyncGeneratedImage] = []
        self._stale: set[str] = set()
        status = {"state": "idle", "turn": 0, "query": "", "source": source, "picture": False, "error": "", "note": ""}
        given = client if isinstance(client, SearchStream) else None
        if given is None:
            self._client = self._client or Client()
            first = self._client.search(text, source=source)  # which begins nothing, but is checked
        super().__init__(cell=given._cell if given else None, status=status, asks=given is None)
        if given is not None:
            background().run(self._begin(given, source, False))
        elif text is not None:
            background().run(self._begin(first, source, False))

    # --- asking

    @property
    def result(self) -> SearchResult[GeneratedImage] | None:
        """What the last search has found so far; None before the first."""
        return None if self._stream is None else self._stream._so_far()

    def search(
        self,
        text: str | None = None,
        image: ImageInput | None = None,
        source: Literal["home", "stumber"] = "home",
    ) -> None:
        """Search, as the Search button does; :meth:`wait` waits for the answer.

        Parameters
        ----------
        text, image, source
            As :meth:`cutaway.Client.search` takes them.

        Raises
        ------
        InvalidRequest
            As :meth:`cutaway.Client.search`. Everything else is told in the view.
        """
        if self._client is None:
            raise InvalidRequest("this view shows one answer: SearchView(client) has a text box")
        background().run(self._begin(self._client.search(text, image, source), source, image is not None))

    @property
    def _subject(self) -> str:
        return f"Search for {query}" if (query := self.status.get("query")) else "Search"

    def __repr__(self) -> str:
        return f"<SearchView {self.status.get('query', '')[:80]!r}: {self.state}>"

    # --- the answer

    async def _begin(self, stream: SearchStream, source: str, picture: bool) -> None:
        before, self._stream = self._stream, stream
        self._finished.set()  # who waits for another answer gets this one, as far as it is
        self._finished, self._error = asyncio.Event(), None
        self._images = []
        query = without_controls(stream._stream._answer.query)
        turn = self.status["turn"] + 1
        self._say(state="running", turn=turn, query=query, source=source, picture=picture, error="", note="")
        self._flush("articles", "summary", "images", "about")
        self._start(partial(self._follow, stream))
        if before is not None:
            await before._stream.aclose()

    async def _follow(self, stream: SearchStream) -> None:
        events, failure = stream._stream, None
        place = events._cursor(everything)
        try:
            while (event := await events._next(place)) is not None and self._stream is stream:
                self._take(event)
        except Exception as error:
            failure = error
        if self._stream is not stream:  # another question has been asked meanwhile
            return
        self._flush(*self._stale)
        if failure is not None:
            self._end("failed", failure)
        else:
            complete = any(isinstance(message, protocol.Done) for message in events._answer.messages[-1:])
            self._end("done" if complete else "stopped")

    def _take(self, event: object) -> None:
        match event:
            case Article():
                self._soon("articles")
                self._soon("summary")  # a marker may have become a link
            case SummaryChunk():
                self._soon("summary")
            case AsyncGeneratedImage():
                self._images.append(event)
                self._soon("images")
            case _:
                self._soon("about")

    def _soon(self, part: str) -> None:
        """Tell of a part a little later, with what comes until then."""
        if not self._stale:
            asyncio.get_running_loop().call_later(_PAUSE_SECONDS, lambda: self._flush(*self._stale))
        self._stale.add(part)

    def _flush(self, *parts: str) -> None:
        self._stale.difference_update(parts)
        if self._stream is None or not parts:
            return
        result = self._stream._stream._answer.result()
        if "articles" in parts:
            self.articles = [item_of(article) for article in result.articles]
        if "summary" in parts:
            links = {f"{article.number}": safe_link(article.url) for article in result.articles}
            self.summary = tree(result.summary, {number: link for number, link in links.items() if link is not None})
        if "images" in parts:
            self.images = [{"by": image.by or ""} for image in self._images]
        if "about" in parts:
            self.about = {
                "captions": [without_controls(caption) for caption in result.captions],
                "failures": [f"{each.agent}: {without_controls(each.message)}" for each in result.errors],
                "by": result.by or "",
                "search_entry_point": result.search_entry_point or "",
            }

    # --- the browser

    async def _asked(self, content: dict[str, Any], buffers: list[Any]) -> None:
        match content:
            case {"do": "search", "text": str(text), "source": "home" | "stumber" as source} if self._client:
                image = bytes(buffers[0]) if buffers else None
                try:
                    stream = self._client.search(text.strip() or None, image, source)
                except (InvalidRequest, RuntimeError) as error:  # RuntimeError: the client was closed
                    self._say(note=without_controls(str(error)))
                else:
                    await self._begin(stream, source, image is not None)
            case {"do": "image", "turn": int(turn), "image": int(number)} if turn == self.status["turn"]:
                if 0 <= number < len(self._images):
                    await self._send_image(turn, number, self._images[number])
            case {"do": "stop"}:
                await self._stop()

    async def _send_image(self, turn: int, number: int, image: AsyncGeneratedImage) -> None:
        about = {"turn": turn, "image": number, "type": image.mime_type}
        try:
            self.send(about, buffers=[await image.bytes()])
        except CutawayError as error:
            self.send({**about, "error": in_words(error)})

    async def _stop(self) -> None:
        if self._stream is not None:
            await self._stream._stream.aclose()

    def _forget(self) -> None:
        if self.state == "running":
            self._end("stopped")
        self._stream, self._images = None, []


def item_of(article: Article) -> dict[str, Any]:
    """What a browser shows of an article."""
    return {
        "number": article.number,
        "title": without_controls(article.title) or "(without a title)",
        "link": safe_link(article.url) or "",
        "image": safe_link(article.image_url) or "",
        "author": without_controls(article.author),
        "site": without_controls(article.site),
        "date": "" if article.published is None else article.published.isoformat(),
        "description": without_controls(article.description),
        "likes": article.likes,
        "comments": article.comments,
        "emojis": without_controls("".join(article.emojis)),
        "video": article.has_video,
    }
