"""What an image shows, in words to search articles for. Comes in: a question with an image; goes out: the words that a
model has for it, if it has some in time and they are new.
"""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass
from typing import Protocol

from cutaway_server.errors import Fault
from cutaway_server.search.findings import Findings
from cutaway_server.search.question import Question

_log = logging.getLogger(__name__)

ALONE_SECONDS = 4.0
"""How long articles wait for words of an image that has none itself and comes with none."""
BESIDE_SECONDS = 2.0
"""How long the last of them wait, when there are words to search for already."""


class Namer(Protocol):
    """What names the things that an image shows."""

    async def words(self, question: Question) -> str:
        """Words to search for, ``""`` for none; raises a :class:`~cutaway_server.errors.Fault`."""


@dataclass(frozen=True)
class Sight:
    """Sees images, by a model."""

    namer: Namer

    async def words(self, question: Question, findings: Findings) -> str:
        """What else to search for, ``""`` for nothing; all that the image shows is noted in the findings."""
        findings.see(await self._seen(question))
        known = set(question.words.casefold().split())
        return " ".join(each for each in findings.seen.split() if each.casefold() not in known)

    async def _seen(self, question: Question) -> str:
        try:
            async with asyncio.timeout(BESIDE_SECONDS if question.words else ALONE_SECONDS):
                return await self.namer.words(question)
        except TimeoutError:
            _log.info("articles: the model had no words for the image in time")
        except Fault as fault:
            _log.warning("articles: the model has no words for the image: %s", fault.message)
        except Exception:
            _log.exception("articles: the model has no words for the image")
        return ""
