"""What is asked, and what comes of an answer that goes well, over the wire."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import time
from contextlib import aclosing
from importlib.util import find_spec

import pytest

from cutaway_server.gemini.ask import Ask, Blob, Grounding, Linked, Picture, Text
from cutaway_server.gemini.client import open_gemini
from cutaway_server.gemini.faults import ModelFault
from cutaway_server.settings import Settings
from fakes.gemini import FakeGemini
from fakes.replies import STALL, Gate, Pause, chunk, finish, grounding, objects, picture, pieces, text, thought
from gemini.asking import ASK, text_of
from gemini.asking import pieces as pieces_of
from gemini.conftest import KEY, Open

_PNG = b"\x89PNG\r\n\x1a\n" + bytes(200)


@pytest.mark.gen_test
async def test_without_a_key_there_is_no_model(fake: FakeGemini) -> None:
    async with open_gemini(Settings(_env_file=None, gemini_base_url=fake.url)) as gemini:  # type: ignore[call-arg]
        assert gemini is None


def test_without_a_key_googles_library_is_not_even_loaded() -> None:
    program = "import sys, cutaway_server.gemini.client, cutaway_server.gemini.faults, cutaway_server.gemini.reply\n"
    program += "assert not [name for name in sys.modules if name.startswith(('google', 'httpx2'))]"
    subprocess.run([sys.executable, "-c", program], check=True, timeout=20)


@pytest.mark.gen_test
@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("HTTPS_PROXY", "nonsense://me:word@proxy"),
        ("HTTPS_PROXY", "http://me:word@[::1"),
        ("SSL_CERT_FILE", "/nowhere"),
        ("GOOGLE_GENAI_HTTP_CLIENT", "httpx"),
    ],
)
async def test_an_environment_that_does_not_do_is_told(
    opened: Open, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, name: str, value: str
) -> None:
    monkeypatch.setenv(name, value)
    monkeypatch.setattr("google.genai._api_client.httpx", None)  # Jupyter brings it
    settings = Settings(_env_file=None, gemini_api_key=KEY)  # type: ignore[call-arg,arg-type]
    async with open_gemini(settings) as gemini:
        assert gemini is None
    assert "the model is not available" in caplog.text
    assert name in caplog.text or "GOOGLE_GENAI_" in caplog.text
    assert "word" not in caplog.text


@pytest.mark.gen_test
@pytest.mark.skipif(find_spec("httpx") is None, reason="httpx is not installed")
async def test_the_other_library_for_http_makes_no_difference(
    fake: FakeGemini, opened: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GOOGLE_GENAI_HTTP_CLIENT", "httpx")
    fake.queue("Hello.")
    async with opened() as gemini:
        assert await text_of(gemini) == "Hello."


@pytest.mark.gen_test
async def test_pieces_come_as_they_are_sent(fake: FakeGemini, opened: Open) -> None:
    gate = Gate()
    fake.queue("Hello ", gate, "world.")
    async with opened() as gemini, aclosing(gemini.answer(ASK)) as answer:
        assert not fake.requests
        assert await anext(answer) == Text("Hello ")
        gate.open()
        assert [each async for each in answer] == [Text("world.")]
    [asked] = fake.requests
    assert (asked.model, asked.method, asked.version) == ("gemini-3.8-flash", "streamGenerateContent", "v1")
    assert asked.headers["X-Goog-Api-Key"] == KEY
    assert asked.headers["Accept-Encoding"] == "identity", "a compressed stream comes in bunches"
    assert "X-Server-Timeout" not in asked.headers, "the service refuses short ones"
    assert asked.closed_at is None


@pytest.mark.gen_test
async def test_everything_that_can_be_asked(fake: FakeGemini, opened: Open) -> None:
    fake.queue("[]")
    schema = {"type": "array", "items": {"type": "object", "properties": {"start_at": {"type": "number"}}}}
    ask = Ask(
        model="gemini-flash-latest",
        parts=(
            "First",
            Blob(_PNG, "image/png"),
            Linked("https://youtu.be/x", "video/mp4", start=10, end=70.5, fps=0.5),
            Linked("https://files.example/1", "video/mp4"),
            "last",
        ),
        instruction="You are brief.",
        schema=schema,
        images=True,
        search=True,
        low_resolution=True,
    )
    async with opened(safety=("harassment=block_none",)) as gemini:
        assert await text_of(gemini, ask) == "[]"
    [asked] = fake.requests
    assert asked.version == "v1beta"
    assert asked.text == "First\nlast"
    assert asked.blobs == [("image/png", _PNG)]
    first, second = asked.links
    assert first["fileData"] == {"fileUri": "https://youtu.be/x", "mimeType": "video/mp4"}
    assert first["videoMetadata"] == {"startOffset": "10s", "endOffset": "70.5s", "fps": 0.5}
    assert "videoMetadata" not in second
    assert asked.instruction == "You are brief."
    assert asked.schema == schema
    assert asked.config["responseMimeType"] == "application/json"
    assert asked.config["responseModalities"] == ["TEXT", "IMAGE"]
    assert asked.config["mediaResolution"] == "MEDIA_RESOLUTION_LOW"
    assert asked.searches
    assert asked.body["safetySettings"] == [{"category": "HARM_CATEGORY_HARASSMENT", "threshold": "BLOCK_NONE"}]


@pytest.mark.gen_test
async def test_models_that_write_are_told_how_long_to_think(fake: FakeGemini, opened: Open) -> None:
    fake.queue("Yes.", times=3)
    async with opened() as gemini:
        await text_of(gemini)
    async with opened(thinking="low") as gemini:
        await text_of(gemini)
        await text_of(gemini, Ask(model="m", parts=("Draw.",), images=True))
    assert [each.config.get("thinkingConfig") for each in fake.requests] == [None, {"thinkingLevel": "LOW"}, None]


@pytest.mark.gen_test
async def test_a_stream_may_be_cut_anywhere(fake: FakeGemini, opened: Open) -> None:
    words = "Äpfel, 🍏 und\u00a0„Birnen“\n" * 3
    async with opened() as gemini:
        for split in (1, 2, 3, 7):
            fake.queue(*pieces(words, 5), split=split)
            assert await text_of(gemini) == words


@pytest.mark.gen_test
async def test_only_what_is_an_answer_counts(fake: FakeGemini, opened: Open) -> None:
    odd = [
        thought("Let me see."),
        {"usageMetadata": {}},
        chunk(),
        {"candidates": [{"index": 0}]},
        {"candidates": [{"content": {"role": "model"}, "index": 0}]},
        {"candidates": [{"content": {"parts": [{"text": "other"}]}, "index": 1}, text("Yes")["candidates"][0]]},
        chunk({"text": ""}),
        chunk({"functionCall": {"name": "f", "args": {}}}, {"text": "."}),
        picture(_PNG),
        finish(),
    ]
    fake.queue(*odd)
    async with opened() as gemini:
        assert await pieces_of(gemini) == [Text("Yes.")]


@pytest.mark.gen_test
async def test_texts_and_images_keep_their_order(fake: FakeGemini, opened: Open) -> None:
    fake.queue("One", picture(_PNG), "Two", picture(b"\xff\xd8\xff", "image/jpeg"))
    async with opened() as gemini:
        found = await pieces_of(gemini, Ask(model="gemini-3.1-flash-image", parts=("Draw.",), images=True))
    assert found == [Text("One"), Picture(_PNG, "image/png"), Text("Two"), Picture(b"\xff\xd8\xff", "image/jpeg")]


@pytest.mark.gen_test
async def test_what_was_found_on_the_web_is_told_with_the_text_and_again_when_it_is_more(
    fake: FakeGemini, opened: Open
) -> None:
    a, b, told = ("https://a.example/", "A\nline"), ("http://b.example/x", "B"), ("https://a.example/", "A line")
    both = grounding([a, b, ("javascript:alert(1)", "C")], "<p>chip</p>")
    fake.queue(grounding([a]), "It is so.", grounding([a]), both, both, finish())
    async with opened() as gemini:
        found = await pieces_of(gemini)
    assert found == [Text("It is so."), Grounding((told,), "<div>Search</div>"), Grounding((told, b), "<p>chip</p>")]


@pytest.mark.gen_test
async def test_texts_that_wait_are_joined(fake: FakeGemini, opened: Open) -> None:
    gate = Gate()
    fake.queue("a", "b", "c", gate, *map(str, range(10)))
    async with opened() as gemini, aclosing(gemini.answer(ASK)) as answer:
        first = (await anext(answer)).text  # type: ignore[union-attr]
        while first != "abc":
            first += (await anext(answer)).text  # type: ignore[union-attr]
        gate.open()
        await asyncio.sleep(0.2)
        assert [each async for each in answer] == [Text("0123456789")]


@pytest.mark.gen_test
async def test_control_characters_and_turned_directions_are_left_out(fake: FakeGemini, opened: Open) -> None:
    fake.queue("a\x1b[31mb\u202ec\x00\n\td\ud800e\U000e0041\u200b\u200f", "\U0001f469\u200d\U0001f680")
    async with opened() as gemini:
        assert await text_of(gemini) == "a[31mbc\n\tde\U0001f469\u200d\U0001f680"


@pytest.mark.gen_test
async def test_a_model_that_goes_on_when_it_is_done_is_left(fake: FakeGemini, opened: Open) -> None:
    fake.queue("Done.", finish(), *[Pause(0.2), thought("hm")] * 100)
    async with opened() as gemini:
        before = time.monotonic()
        assert await text_of(gemini) == "Done."
        assert time.monotonic() - before < 3
        await fake.requests[0].closed()


@pytest.mark.gen_test
async def test_a_model_that_says_with_every_chunk_that_it_is_done_is_heard_out(fake: FakeGemini, opened: Open) -> None:
    fake.queue(*[step for n in range(8) for step in (text(f"{n}", "STOP"), Pause(0.3))])
    async with opened() as gemini:
        assert await text_of(gemini) == "01234567"


@pytest.mark.gen_test(timeout=20)
async def test_what_is_read_besides_images_is_bounded(fake: FakeGemini, opened: Open) -> None:
    ask = Ask(model="m", parts=("Draw.",), images=True)
    images = [picture(_PNG + bytes(4 << 20))] * 6
    fake.queue(*images, model="m")
    async with opened(retries=0) as gemini:
        assert len(await pieces_of(gemini, ask)) == 6
        fake.queue(b'data: {"candidates": [{"content": {"parts": [{"text": "' + b"x" * (40 << 20), STALL)
        with pytest.raises(ModelFault, match="too long"):
            await pieces_of(gemini)


@pytest.mark.gen_test
async def test_parallel_questions_get_their_own_answers(fake: FakeGemini, opened: Open) -> None:
    for n in range(6):
        fake.queue(f"answer {n}", when=lambda asked, n=n: f"question {n}" in asked.text, delay=0.05)
    async with opened(calls=3) as gemini:
        asks = [Ask(model="m", parts=(f"question {n}",)) for n in range(6)]
        assert await asyncio.gather(*(text_of(gemini, ask) for ask in asks)) == [f"answer {n}" for n in range(6)]
    assert fake.connections <= 3


@pytest.mark.gen_test
async def test_objects_arrive_whole(fake: FakeGemini, opened: Open) -> None:
    fake.queue(*objects([{"a": "ü"}, {"b": 2}], size=3))
    async with opened() as gemini:
        assert await text_of(gemini) == '[{"a": "ü"}, {"b": 2}]'
