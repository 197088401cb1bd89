"""The images that a model makes for a question. Comes in: the question; goes out: captions and images in the model's
order, each image as soon as it is there, decoded once in a worker and kept where a client can fetch it.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass
from typing import Any

from cutaway.protocol import Image, ImageText
from cutaway_server.errors import Fault
from cutaway_server.gemini.ask import Ask, Part, Picture, Text
from cutaway_server.gemini.client import Gemini
from cutaway_server.gemini.material import ONLY_DATA, as_json
from cutaway_server.search.articles.prose import clean
from cutaway_server.search.findings import Findings
from cutaway_server.search.generated import GeneratedImages
from cutaway_server.search.pixels import MAX_MADE_BYTES, BadMadeImage, check_made
from cutaway_server.search.question import Question
from cutaway_server.work.pool import JobFailed, Workers

_log = logging.getLogger(__name__)

MOST_IMAGES = 8
MAX_CAPTION = 1000
CHECK_SECONDS = 5.0
_INSTRUCTION = f"""\
Make one picture that illustrates what the user looks for, which the JSON object names as "question"; an image that \
the user sent shows what it is about. No text in the picture unless the question wants some. Before it write one \
sentence in the language of the question that says what the picture shows, as plain text, and nothing else.
{ONLY_DATA}
"""


class NoImage(Fault):
    """The model answered without an image that can be shown."""


@dataclass(frozen=True)
class GeminiImages:
    """Has a model make images.

    Attributes
    ----------
    generated
        Where they are kept.
    workers
        Where they are decoded.
    """

    gemini: Gemini
    model: str
    generated: GeneratedImages
    workers: Workers

    async def images(self, question: Question, findings: Findings) -> AsyncGenerator[Image | ImageText, None]:
        """Yield captions and images; nothing at all without a question.

        Raises
        ------
        ModelFault
            The model failed; what was yielded before is good.
        NoImage
            It made no image, or none that can be shown.
        """
        seen = await question.pixels()
        if not question.words and seen is None:
            return
        parts: tuple[Part, ...] = (as_json(question),) if seen is None else (seen, as_json(question))
        ask = Ask(model=self.model, parts=parts, instruction=_INSTRUCTION, images=True)
        text, count, bad = "", 0, False
        checks: list[asyncio.Task[tuple[str, str] | None]] = []
        async with _ending(checks), aclosing(self.gemini.answer(ask)) as answer:
            async for each in answer:
                if isinstance(each, Text):
                    text += each.text[: 2 * MAX_CAPTION - len(text)]
                elif isinstance(each, Picture):
                    checks.append(asyncio.create_task(self._kept(each.data), name="check an image"))
                    path_and_type = await asyncio.shield(checks[-1])
                    if path_and_type is None:
                        bad = True
                        continue
                    for caption in _captions(text):
                        yield caption
                    text = ""
                    yield Image(path=path_and_type[0], mime_type=path_and_type[1], by="gemini")
                    count += 1
                    if count == MOST_IMAGES:
                        break
        for caption in _captions(text):
            yield caption
        if not count:
            raise NoImage(
                "The model sent an image that cannot be shown. Ask again."
                if bad
                else "The model answered with words alone. Ask for a picture of something, in other words."
            )

    async def _kept(self, data: bytes) -> tuple[str, str] | None:
        """Where an image is kept, and what it is; None for one that cannot be shown."""
        try:
            if len(data) > MAX_MADE_BYTES:
                raise BadMadeImage(f"The model sent an image of {len(data):,} bytes.")
            mime_type = await self.workers.run(check_made, data, seconds=CHECK_SECONDS)
        except (BadMadeImage, JobFailed) as fault:
            _log.warning("an image of the model is left out: %s", fault.message)
            return None
        (path,) = await self.generated.keep([data], mime_type)
        return path, mime_type


@asynccontextmanager
async def _ending(tasks: Sequence[asyncio.Task[Any]]) -> AsyncIterator[None]:
    """A block behind which the tasks end; who awaited one itself could not leave before its worker is gone."""
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def _captions(text: str) -> list[ImageText]:
    caption = clean(text, MAX_CAPTION)
    return [ImageText(text=caption, by="gemini")] if caption else []
