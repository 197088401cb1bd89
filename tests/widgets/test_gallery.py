"""The gallery: cards that arrive, clips that are sent when they are wanted, Save, Stop, and how each stream ends."""

from __future__ import annotations

import gc
import json
import weakref
from pathlib import Path
from typing import Any

import msgspec
import pytest

import cutaway
from cutaway import AsyncClient, Client, protocol
from cutaway.widgets import SnippetGallery
from processes import wait_until
from sdk.fake_server import URL, Abort, FakeServer, Hang, Wait, complete, error, progress, snippet

from .page import Page

HOSTILE = "<script>alert(1)</script><img src=x onerror=alert(2)>\x1b[31mred\x1b]0;pwned\x07\u202e"


def with_metadata(message: protocol.Snippet, **values: Any) -> protocol.Snippet:
    metadata = msgspec.structs.replace(message.data.metadata, **values)
    return msgspec.structs.replace(message, data=msgspec.structs.replace(message.data, metadata=metadata))


def test_cards_arrive_while_the_video_is_analysed(page: Page) -> None:
    second, end = Wait(), Wait()
    script = [progress("analyse", 0.5), snippet(1), second, progress("cut", 0.25), snippet(2), end, complete()]
    with FakeServer(*script) as server, Client(server.url) as client:
        gallery = SnippetGallery(URL, client=client, max_snippets=2)
        shown = page.of(gallery)
        page.wait_for(lambda: shown.state["count"] == 1)
        assert shown.cards() == [
            {
                "title": "Moment 1",
                "description": "What happens in moment 1",
                "size": "1 kB",
                "by": "local",
                "time": "1:00–1:13",
                "length": "13 s",
                "poster": "/9hwb3N0ZXL/2Q==",
            }
        ]
        status = shown.state["status"]
        assert (status["state"], status["stage"], status["fraction"]) == ("running", "analyse", 0.5)
        assert (gallery.state, [each.title for each in gallery.snippets]) == ("running", ["Moment 1"])
        assert status["source"] == URL
        second.event.set()
        page.wait_for(lambda: shown.state["count"] == 2)
        assert shown.state["status"]["stage"] == "cut"
        end.event.set()
        assert [each.title for each in gallery.wait()] == ["Moment 1", "Moment 2"]
        page.wait_state(gallery, "done")
        assert server.queries == [{"video_url": URL, "max_snippets": "2", "progress": "1"}]
        assert not shown.heard, "no clip was asked for"
    assert gallery.error is None


def test_a_clip_is_sent_when_it_is_wanted_and_is_in_no_state(page: Page) -> None:
    with FakeServer(snippet(1), snippet(2, size_bytes=200_000), complete()) as server, Client(server.url) as client:
        gallery = SnippetGallery(URL, client=client)
        page.wait_state(gallery, "done")
        shown = page.of(gallery)
        page.say(gallery, {"do": "play", "card": 1})
        page.wait_for(lambda: bool(shown.heard))
        assert shown.heard == [({"clip": 1, "type": "video/mp4"}, [bytes([2]) * 200_000])]
        for nonsense in ({"do": "play", "card": 2}, {"do": "play", "card": -1}, {"do": "play"}, {"do": "x"}, {}):
            page.say(gallery, nonsense)
        page.say(gallery, {"do": "play", "card": 0})
        page.wait_for(lambda: len(shown.heard) == 2)
        assert shown.heard[1][0]["clip"] == 0
        assert shown.sent_bytes < 50_000


def test_save_one_and_all_write_files_and_say_where(page: Page, tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.chdir(tmp_path)
    with FakeServer(snippet(1), snippet(2), snippet(3), complete()) as server, Client(server.url) as client:
        gallery = SnippetGallery(URL, client=client)
        gallery.wait()
        status = page.of(gallery).state
        page.say(gallery, {"do": "save", "card": 1})
        page.wait_for(lambda: bool(status["status"]["note"]))
        assert status["status"]["note"] == "Saved: snippets/Moment 2.mp4"
        assert status["status"]["saved"] == [1]
        assert Path("snippets/Moment 2.mp4").read_bytes() == bytes([2]) * 1000
        page.say(gallery, {"do": "save_all"})
        page.wait_for(lambda: status["status"]["note"] == "Saved: 3 files in snippets/")
        names = ["Moment 1.mp4", "Moment 2.mp4", "Moment 3.mp4"]
        assert sorted(each.name for each in Path("snippets").iterdir()) == names, "what is there is not saved again"
        assert [file.name for file in gallery.save_all(tmp_path / "else")] == names
        Path("snippets/Moment 1.mp4").unlink()
        assert [file.name for file in gallery.save_all()] == names
        assert Path("snippets/Moment 1.mp4").exists()


def test_a_folder_that_cannot_be_written_to_is_told(page: Page, tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("a file")
    with FakeServer(snippet(1), complete()) as server, Client(server.url) as client:
        gallery = SnippetGallery(URL, client=client, folder=tmp_path / "taken")
        gallery.wait()
        page.say(gallery, {"do": "save_all"})
        shown = page.of(gallery)
        page.wait_for(lambda: "File exists" in shown.state["status"]["note"])
        with pytest.raises(FileExistsError):
            gallery.save_all()
        page.say(gallery, {"do": "play", "card": 0})
        page.wait_for(lambda: bool(shown.heard))


@pytest.mark.parametrize("how", ["button", "method", "close", "client"])
def test_stopping_stops_the_server_and_keeps_what_came(page: Page, how: str) -> None:
    with FakeServer(snippet(1), Hang()) as server, Client(server.url) as client:
        gallery = SnippetGallery(URL, client=client)
        shown = page.of(gallery)
        page.wait_for(lambda: shown.state["count"] == 1)
        if how == "button":
            page.say(gallery, {"do": "stop"})
        else:
            {"method": gallery.stop, "close": gallery.close, "client": client.close}[how]()
        assert server.left.wait(5)
        assert [each.title for each in gallery.wait(5)] == ["Moment 1"]
        assert gallery.state == "stopped"
        assert gallery.error is None
        assert shown.closed == (how == "close")
        gallery.stop()


def test_a_failure_is_told_and_what_came_before_it_stays(page: Page) -> None:
    with FakeServer(snippet(1), error("the video is private")) as server, Client(server.url) as client:
        gallery = SnippetGallery(URL, client=client)
        page.wait_state(gallery, "failed")
        assert page.of(gallery).state["status"]["error"] == "the video is private"
        assert isinstance(gallery.error, cutaway.ServerError)
        with pytest.raises(cutaway.ServerError, match="private"):
            gallery.wait()
        assert len(gallery.result) == 1
        page.say(gallery, {"do": "play", "card": 0})
        page.wait_for(lambda: bool(page.of(gallery).heard))


def test_a_lost_connection_and_a_missing_server_are_told_in_words(page: Page) -> None:
    with FakeServer(snippet(1), Abort()) as server, Client(server.url) as client:
        lost = SnippetGallery(URL, client=client)
        page.wait_state(lost, "failed")
        assert "ended before the server was done" in page.of(lost).state["status"]["error"]
    nobody = SnippetGallery(URL, client=Client(server.url, connect_retries=0))
    page.wait_state(nobody, "failed")
    assert "nothing listens" in page.of(nobody).state["status"]["error"]
    assert "cutaway serve" in page.of(nobody).state["status"]["error"]


def test_a_request_that_cannot_be_right_is_refused_at_once() -> None:
    with pytest.raises(cutaway.InvalidRequest, match="max_snippets"):
        SnippetGallery(URL, client=Client(), max_snippets=0)
    with pytest.raises(TypeError, match="AsyncClient"):
        SnippetGallery(AsyncClient().snippets(URL))  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="nothing but the stream"):
        SnippetGallery(Client().snippets(URL), max_snippets=3)


@pytest.mark.parametrize("wrong", [["https://example.com/a.mp4"], None, 42, b"a.mp4"], ids=repr)
def test_what_is_no_video_is_refused_in_words(wrong: Any) -> None:
    with pytest.raises(TypeError, match=f"a URL, a path, or a stream of Client.snippets: not a {type(wrong).__name__}"):
        SnippetGallery(wrong)


def test_a_gallery_of_a_stream_that_was_used_up_says_so(page: Page) -> None:
    with FakeServer(snippet(1), complete()) as server, Client(server.url) as client:
        stream = client.snippets(URL)
        assert len(stream.result()) == 1
        gallery = SnippetGallery(stream)
        page.wait_state(gallery, "stopped")
        assert "Somebody else has taken the snippets" in page.of(gallery).state["status"]["note"]


def test_what_strangers_wrote_is_text_without_controls(page: Page) -> None:
    hostile = with_metadata(snippet(1), title=HOSTILE, description=HOSTILE)
    with FakeServer(hostile, error(HOSTILE)) as server, Client(server.url) as client:
        gallery = SnippetGallery("https://example.com/?<script>alert(1)</script>", client=client)
        page.wait_state(gallery, "failed")
        shown = page.of(gallery)
        text = "<script>alert(1)</script><img src=x onerror=alert(2)>[31mred]0;pwned"
        (card,) = shown.cards()
        assert (card["title"], card["description"], shown.state["status"]["error"]) == (text, text, text)
        data = gallery._repr_mimebundle_()[0]
        assert "<script" not in data["text/html"]
        assert "&lt;script&gt;" in data["text/html"]


def test_the_state_of_eight_snippets_is_small_unless_they_are_embedded(page: Page) -> None:
    poster = b"\xff\xd8" + bytes(20_000 - 4) + b"\xff\xd9"
    film = [with_metadata(snippet(n, size_bytes=1_000_000), poster=poster) for n in range(1, 9)]
    with FakeServer(*film, complete()) as server, Client(server.url) as client:
        gallery = SnippetGallery(URL, client=client)
        page.wait_state(gallery, "done")
        whole = {gallery.model_id: gallery._get_embed_state()}
        assert len(json.dumps(whole)) < 300_000
        # What is sent while it fills, too: each card once.
        assert page.of(gallery).sent_bytes < 300_000
        assert page.of(gallery).state.keys() >= {f"card_{n}" for n in range(8)}
        kept = SnippetGallery(URL, client=client, embed=True)
        kept.wait()
        assert all(len(card["video"]) > 1_000_000 for card in page.of(kept).cards())


def test_a_page_that_comes_later_gets_all_cards(page: Page) -> None:
    with FakeServer(snippet(1), snippet(2), complete()) as server, Client(server.url) as client:
        gallery = SnippetGallery(URL, client=client)
        gallery.wait()
        shown = page.of(gallery)
        shown.state.clear()
        gallery.comm.handle_msg({"content": {"data": {"method": "request_state"}}, "buffers": []})
        assert [card["title"] for card in shown.cards()] == ["Moment 1", "Moment 2"]
        assert shown.state["_esm"].endswith("export default { render };\n")


def test_the_servers_own_address_of_a_clip_is_told_unless_it_holds_a_secret(page: Page) -> None:
    clip = with_metadata(snippet(1), video_path="/clips/un-guessable.mp4")
    with FakeServer(clip, complete()) as server:
        for user, address in (("", f"http://127.0.0.1:{server.port}/clips/un-guessable.mp4"), ("me:secret@", None)):
            with Client(f"ws://{user}127.0.0.1:{server.port}") as client:
                gallery = SnippetGallery(URL, client=client)
                gallery.wait()
                assert page.of(gallery).cards()[0].get("url") == address
                assert "secret" not in json.dumps(page.of(gallery).state)


def test_an_embedded_clip_asks_no_server(page: Page) -> None:
    clip = with_metadata(snippet(1), video_path="/clips/un-guessable.mp4")
    with FakeServer(clip, complete()) as server, Client(server.url) as client:
        gallery = SnippetGallery(URL, client=client, embed=True)
        gallery.wait()
        (card,) = page.of(gallery).cards()
        assert "video" in card
        assert "url" not in card


@pytest.mark.parametrize("path", [".evil.example/x", "@evil.example/x", "//evil.example/x", "https://evil.example", ""])
def test_a_clip_is_nowhere_else_than_on_the_server(page: Page, path: str) -> None:
    with FakeServer(with_metadata(snippet(1), video_path=path), complete()) as server, Client(server.url) as client:
        gallery = SnippetGallery(URL, client=client)
        gallery.wait()
        assert "url" not in page.of(gallery).cards()[0]


def test_who_asks_whether_anybody_is_there_gets_an_answer(page: Page) -> None:
    with FakeServer(Hang()) as server, Client(server.url) as client:
        gallery = SnippetGallery(URL, client=client)
        page.say(gallery, {"do": "hello"})
        assert page.of(gallery).heard == [({"hello": True}, [])]


def test_two_galleries_run_side_by_side(page: Page) -> None:
    first, second = Wait(), Wait()
    with FakeServer(snippet(1), first, complete()) as one, FakeServer(snippet(2), second, complete()) as two:
        galleries = [SnippetGallery(URL, client=Client(server.url)) for server in (one, two)]
        for gallery in galleries:
            page.wait_for(lambda gallery=gallery: page.of(gallery).state["count"] == 1)
        second.event.set()
        assert len(galleries[1].wait(5)) == 1
        assert galleries[0].state == "running"
        first.event.set()
        assert len(galleries[0].wait(5)) == 1


def test_waiting_has_an_end_and_the_work_goes_on(page: Page) -> None:
    rest = Wait()
    with FakeServer(snippet(1), rest, complete()) as server:
        gallery = SnippetGallery(URL, client=Client(server.url))
        with pytest.raises(TimeoutError):
            gallery.wait(0.01)
        rest.event.set()
        assert len(gallery.wait(5)) == 1


def test_what_is_closed_is_gone(page: Page) -> None:
    with FakeServer(snippet(1), Hang()) as server, Client(server.url) as client:
        gallery = SnippetGallery(URL, client=client)
        shown = page.of(gallery)
        page.wait_for(lambda: shown.state["count"] == 1)
        gallery.close()
        assert server.left.wait(5)
        gallery.wait(5)
        assert "was closed" in gallery._repr_mimebundle_()["text/html"]
        gallery.close()
        gone = weakref.ref(gallery)
        del gallery
        wait_until(lambda: gc.collect() >= 0 and gone() is None)


def test_letting_go_forgets_the_videos(page: Page) -> None:
    with FakeServer(snippet(1), Hang()) as server, Client(server.url) as client:
        stream = client.snippets(URL)
        gallery = SnippetGallery(stream)
        page.wait_for(lambda: page.of(gallery).state["count"] == 1)
        gallery.let_go()
        assert server.left.wait(5)
        wait_until(lambda: gallery.snippets == ())
        assert gallery.state == "stopped"
        assert list(stream) == []
