"""The summary that a model writes, over the question, its image and the articles found. Comes in: a question, and what
was found so far; goes out: the model's text, piece by piece as it arrives, and what it found on the web by itself.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass

from cutaway.protocol import SummaryChunk, SummaryDone
from cutaway_server.gemini.ask import Ask, Grounding, Part, Text
from cutaway_server.gemini.client import Gemini
from cutaway_server.gemini.material import ONLY_DATA, as_json, today
from cutaway_server.search.findings import Findings
from cutaway_server.search.question import Question

MAX_CHARACTERS = 20_000
"""Of a summary; a model that does not stop is stopped."""
SIGHT_SECONDS = 2.5
"""How long it is waited for what an image shows that came without words: no article can be found before."""

_INSTRUCTION = f"""\
You write the summary at the top of a page of search results. The user's message holds one JSON object, and an image \
if the user sent one.
- "question" is what the user looks for. Without it, tell what the image shows; without an image, what the articles \
report.
- "articles" were found for it, by number. Rest what you say on those that fit, and pass over the others.
- "image" is there when the user's image cannot be shown to you: say that first.
- "today" is the date.
Write at most 150 words in the language of the question (without one, in English), the answer first. After each \
statement that rests on an article put its number in brackets, as in "The bridge opened in 1932 [2]." Use no other \
numbers in brackets and name no sources otherwise. What no article says you may add from what you know, without a \
number; what you do not know, say so.
Plain text only: no Markdown, no headings, no lists, no links. Do not greet, and do not speak of this task or of JSON.
{ONLY_DATA}
"""
_BLIND = "cannot be decoded"


@dataclass(frozen=True)
class GeminiSummary:
    """Has the model write a summary.

    Attributes
    ----------
    wait_seconds
        How long the first articles are waited for, once they are searched for, before the model is asked without any;
        0: not at all.
    search
        The model may search the web; the pages that it used become leads of the findings.
    """

    gemini: Gemini
    model: str
    wait_seconds: float
    search: bool = False

    async def chunks(self, question: Question, findings: Findings) -> AsyncGenerator[SummaryChunk | SummaryDone, None]:
        """Yield the summary; nothing at all when there is nothing to sum up.

        Raises
        ------
        ModelFault
            The model failed. What was yielded before is good.
        """
        patience = self.wait_seconds
        if patience and question.has_picture and not question.words and not await findings.looked(SIGHT_SECONDS):
            patience = 0
        found = await findings.first(patience)
        image = await question.pixels()
        if not (found or question.words or image):
            return
        more = {"image": _BLIND} if question.has_picture and image is None else {}
        parts: tuple[Part, ...] = (as_json(question, found, today=today(), **more),)
        if image is not None:
            parts = (image, *parts)
        ask = Ask(model=self.model, parts=parts, instruction=_INSTRUCTION, search=self.search)
        length, entry_point = 0, None
        async with aclosing(self.gemini.answer(ask)) as answer:
            async for each in answer:
                text = _shown(each.text, length) if isinstance(each, Text) else ""
                length += len(text)
                if isinstance(each, Grounding):
                    findings.lead(each.pages)
                    entry_point = each.search_entry_point or None
                if length:
                    findings.written = SummaryDone(by="gemini", search_entry_point=entry_point)
                if text:
                    yield SummaryChunk(text=text)
                if length >= MAX_CHARACTERS:
                    break
        if length:
            yield findings.written


def _shown(text: str, before: int) -> str:
    """A piece as it can be shown, behind so many characters: the first begins with a word."""
    text = text[: MAX_CHARACTERS - before]
    return text if before else text.lstrip()
