"""The agents that need no model: what a summary says when there is little to say, and what cards are called."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from cutaway.protocol import Image, ImageText, SummaryChunk, SummaryDone
from cutaway_server.search.findings import Findings
from cutaway_server.search.generated import GeneratedImages
from cutaway_server.search.local import LocalImages, LocalSummary
from cutaway_server.search.question import Question

from .test_gathering import found


class Inline:
    """Runs jobs at once, where workers would."""

    async def run(self, job: Callable[..., Any], *args: Any, **_: Any) -> Any:
        return job(*args)


async def summed_up(question: Question, ids: tuple[str, ...] = (), *, failed: bool = False) -> str:
    findings = Findings()
    findings.add(found(*ids))
    findings.failed = failed
    findings.end()
    messages = [each async for each in LocalSummary(Inline()).chunks(question, findings)]  # type: ignore[arg-type]
    assert messages[-1] == SummaryDone(by="local")
    assert all(isinstance(each, SummaryChunk) and each.text for each in messages[:-1])
    return "".join(each.text for each in messages[:-1] if isinstance(each, SummaryChunk))


@pytest.mark.gen_test
async def test_summaries_say_what_there_is() -> None:
    picture = Question(picture="red bridge", has_picture=True)
    silent = Question(has_picture=True)
    assert "No articles were found for “zebra”. Try" in await summed_up(Question(text="zebra"))
    assert "There are no articles yet. Add some" in await summed_up(Question())
    assert "could not be searched" in await summed_up(Question(text="a"), failed=True)
    assert (
        await summed_up(Question(text="bridge"), ("The bridge",))
        == "Only the titles of the articles are known: “The bridge” [1]."
    )
    assert await summed_up(picture, ("Bridges",)) == (
        "The picture says: “red bridge”.\n\nOnly the titles of the articles are known: “Bridges” [1]."
    )
    assert "carries no words that can be read here" in await summed_up(silent, ("A",))
    assert "What follows is the front page.\n\n“A” [1]" in await summed_up(silent, ("A",))
    assert "a lucky dip" in await summed_up(Question(has_picture=True, source="stumber"), ("A",))
    assert "about the text alone" in await summed_up(Question(text="fox", has_picture=True), ("A fox",))
    assert len(await summed_up(Question(text="word " * 500))) < 200


@pytest.mark.gen_test
async def test_images_are_promised_at_once_and_said_to_be_cards(tmp_path) -> None:
    generated = GeneratedImages(tmp_path / "images", seconds=60, space_bytes=1 << 20)
    agent = LocalImages(Inline(), generated)  # type: ignore[arg-type]
    findings = Findings()  # never ended: images wait for no article
    messages = [each async for each in agent.images(Question(text="Jet engines"), findings)]
    images = [each for each in messages if isinstance(each, Image)]
    (caption,) = [each for each in messages if isinstance(each, ImageText)]
    assert len({each.path for each in images}) == len(images) == 3
    assert all(each.mime_type == "image/png" and each.by == "local" for each in images)
    assert caption.text.startswith("Jet engines: this is a card drawn")
    assert "not a generated picture" in caption.text
    assert not (tmp_path / "images").exists()
    _, _, token, name = images[1].path.split("/")
    kept = await generated.get(token, name)
    assert kept is not None
    assert kept.data.startswith(b"\x89PNG")
    await generated.close()


@pytest.mark.gen_test
async def test_captions_own_up_to_signs_that_are_missing(tmp_path, monkeypatch: pytest.MonkeyPatch) -> None:
    from cutaway_server.search import fonts

    monkeypatch.setattr(fonts, "_FOLDERS", ())
    fonts._fonts.cache_clear()
    generated = GeneratedImages(tmp_path / "images", seconds=60, space_bytes=1 << 20)
    agent = LocalImages(Inline(), generated)  # type: ignore[arg-type]

    async def caption(text: str) -> str:
        messages = [each async for each in agent.images(Question(text=text), Findings())]
        return next(each.text for each in messages if isinstance(each, ImageText))

    assert "colours and shapes only" in await caption("機械学習")
    assert "Some signs are left out" in await caption("party time 🎉")
    assert "left out" not in await caption("Grüße")
    await generated.close()
    fonts._fonts.cache_clear()
