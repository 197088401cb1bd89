"""``/generated/...`` and the images behind it: headers, how long they stay, and how much room they take."""

from __future__ import annotations

import asyncio
import json
import re
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from tornado.ioloop import IOLoop

from cutaway_server.errors import Fault
from cutaway_server.search import generated
from cutaway_server.search.generated import GeneratedImages, TooLarge

PATH = re.compile(r"/generated/[A-Za-z0-9_-]{22}/image_\d\.png")


@pytest.fixture
def images(io_loop: IOLoop, work_dir: Path) -> Iterator[Callable[..., GeneratedImages]]:
    made: list[GeneratedImages] = []

    def make(**options: Any) -> GeneratedImages:
        made.append(GeneratedImages(work_dir / "generated", **{"seconds": 60, "space_bytes": 1 << 20, **options}))
        return made[-1]

    yield make
    for each in made:
        io_loop.run_sync(each.close)
    folder = work_dir / "generated"
    if folder.exists():
        folder.rmdir()  # there is nothing in it


def files(folder: Path) -> list[str]:
    return sorted(path.name for path in (folder / "generated").glob("*"))


async def give(data: bytes, number: int) -> bytes:
    return data


def parts(path: str) -> tuple[str, str]:
    _, _, token, name = path.split("/")
    return token, name


# --- the page --------------------------------------------------------------------------------------------------------


@pytest.mark.gen_test
async def test_an_image_and_its_headers(images, serve, work_dir: Path) -> None:
    store = images(seconds=100)
    get = serve(store)
    first, second = await store.keep([b"\x89PNG one", b"\x89PNG two"], "image/png")
    assert PATH.fullmatch(first)
    assert (await get(second)).body == b"\x89PNG two"
    answer = await get(first)
    assert answer.body == b"\x89PNG one"
    assert answer.headers["Content-Type"] == "image/png"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["Cross-Origin-Resource-Policy"] == "cross-origin"
    kept = re.fullmatch(r"private, max-age=(\d+), immutable", answer.headers["Cache-Control"])
    assert kept
    assert 98 <= int(kept[1]) <= 100
    again = await get(first, headers={"If-None-Match": answer.headers["Etag"]})
    assert (again.code, again.body) == (304, b"")
    assert (await get(first, headers={"If-None-Match": '"other"'})).code == 200
    head = await get(first, method="HEAD")
    assert (head.code, head.body, head.headers["Content-Length"]) == (200, b"", "8")
    assert "Access-Control-Allow-Origin" not in answer.headers


@pytest.mark.gen_test
async def test_pages_that_may_connect_may_also_read(images, serve) -> None:
    store = images()
    get = serve(store, allow_origin=["https://app.example"])
    (path,) = await store.keep([b"x"], "image/webp")
    assert path.endswith("image_0.webp")
    answer = await get(path, headers={"Origin": "https://app.example"})
    assert answer.headers["Access-Control-Allow-Origin"] == "https://app.example"
    assert answer.headers["Vary"] == "Origin"
    assert "Access-Control-Allow-Origin" not in (await get(path, headers={"Origin": "https://b.example"})).headers
    assert (await get(path, headers={"Host": "evil.example"})).code == 403


@pytest.mark.gen_test
async def test_what_is_not_there(images, serve) -> None:
    store = images()
    get = serve(store)
    (path,) = await store.keep([b"x"], "image/png")
    token = parts(path)[0]
    for wrong in (
        f"/generated/{token}/image_1.png",
        f"/generated/{token}/image_0.jpg",
        f"/generated/{token}/",
        f"/generated/{token}/../{token}/image_0.png",
        f"/generated/{token}/%2e%2e%2fimage_0.png",
        f"/generated/{'x' * 22}/image_0.png",
        "/generated/../../../etc/passwd",
        "/generated/",
    ):
        answer = await get(wrong)
        assert (answer.code, json.loads(answer.body)) == (404, {"error": "Not Found"})
    assert (await get(path, method="POST", body="")).code == 405
    assert (await serve(None)(path)).code == 404


@pytest.mark.gen_test
async def test_a_promise_is_kept_when_it_is_first_asked_for_and_once(images, serve, work_dir: Path) -> None:
    store = images()
    get = serve(store)
    made: list[int] = []
    ready = asyncio.Event()

    async def make(number: int) -> bytes:
        made.append(number)
        await ready.wait()
        return b"card %d" % number

    first, second = store.promise(make, 2, "image/png")
    assert not files(work_dir)
    waiting = [asyncio.ensure_future(get(first)) for _ in range(5)]
    await asyncio.sleep(0.05)
    ready.set()
    assert [each.body for each in await asyncio.gather(*waiting)] == [b"card 0"] * 5
    assert (await get(first)).body == b"card 0"
    assert made == [0]
    assert len(files(work_dir)) == 1
    assert (await get(second, method="HEAD")).headers["Content-Length"] == "6"
    assert made == [0, 1]


@pytest.mark.gen_test
async def test_what_could_not_be_made_may_be_asked_for_again(images, serve, caplog: pytest.LogCaptureFixture) -> None:
    store = images()
    get = serve(store)
    errors: list[Exception] = [Fault("busy"), ValueError("secret")]

    async def make(number: int) -> bytes:
        if errors:
            raise errors.pop(0)
        return b"card"

    (path,) = store.promise(make, 1, "image/png")
    answer = await get(path)
    assert (answer.code, json.loads(answer.body)) == (503, {"error": "The image cannot be made now"})
    answer = await get(path)
    assert (answer.code, json.loads(answer.body)) == (500, {"error": "Internal Server Error"})
    assert (await get(path)).body == b"card"


@pytest.mark.gen_test
async def test_nothing_is_made_for_who_has_left(images, serve) -> None:
    store = images()
    get = serve(store)
    made: list[str] = []
    started, ready = asyncio.Event(), asyncio.Event()

    async def make(number: int) -> bytes:
        made.append("started")
        started.set()
        try:
            await ready.wait()
        except asyncio.CancelledError:
            made.append("stopped")
            raise
        return b"card"

    (path,) = store.promise(make, 1, "image/png")
    url = urlsplit(get.keywords["address"])
    clients = [await asyncio.open_connection(url.hostname, url.port) for _ in range(2)]
    for _, writer in clients:
        writer.write(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
    await started.wait()
    await asyncio.sleep(0.05)
    clients[0][1].close()
    await asyncio.sleep(0.05)
    assert made == ["started"]  # the other one waits for it
    clients[1][1].close()
    deadline = time.monotonic() + 1
    while made != ["started", "stopped"]:
        assert time.monotonic() < deadline
        await asyncio.sleep(0.01)
    ready.set()
    assert (await get(path)).body == b"card"


@pytest.mark.gen_test
async def test_a_full_disk_is_told_and_leaves_no_file(images, serve, work_dir: Path) -> None:
    get = serve(store := images())
    (work_dir / "generated").write_bytes(b"")  # no folder can be made there
    (path,) = store.promise(partial(give, b"card"), 1, "image/png")
    assert (await get(path)).code == 503
    (work_dir / "generated").unlink()
    assert (await get(path)).body == b"card"


# --- how long, how much ----------------------------------------------------------------------------------------------


@pytest.mark.gen_test
async def test_images_end_by_age_also_when_nobody_asks(images, work_dir: Path) -> None:
    store = images(seconds=0.1)
    (path,) = await store.keep([b"x"], "image/png")
    (promise,) = store.promise(partial(give, b"y"), 1, "image/png")
    assert await store.get(*parts(path))
    assert len(files(work_dir)) == 1
    await asyncio.sleep(0.25)
    assert not files(work_dir)
    assert await store.get(*parts(path)) is None
    assert await store.get(*parts(promise)) is None


@pytest.mark.gen_test
async def test_the_oldest_make_room(images, work_dir: Path) -> None:
    store = images(space_bytes=1000)
    paths = [(await store.keep([b"x" * 400], "image/png"))[0] for _ in range(3)]
    assert [await store.get(*parts(path)) is not None for path in paths] == [False, True, True]
    (drawn,) = store.promise(partial(give, b"z" * 500), 1, "image/png")
    assert await store.get(*parts(drawn))
    assert [await store.get(*parts(path)) is not None for path in [*paths, drawn]] == [False, False, True, True]
    with pytest.raises(TooLarge):
        await store.keep([b"x" * 1001], "image/png")
    assert len(files(work_dir)) == 2


@pytest.mark.gen_test
async def test_promises_are_bounded_too(images, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(generated, "MOST_SETS", 10)
    store = images()
    paths = [store.promise(partial(give, b"x"), 1, "image/png")[0] for _ in range(25)]
    assert [await store.get(*parts(path)) is not None for path in paths] == [False] * 15 + [True] * 10


@pytest.mark.gen_test
async def test_what_is_forgotten_while_it_is_made_leaves_no_file(images, work_dir: Path) -> None:
    store = images(seconds=0.05)
    event = asyncio.Event()

    async def make(number: int) -> bytes:
        await event.wait()
        return b"late"

    (path,) = store.promise(make, 1, "image/png")
    asked = asyncio.create_task(store.get(*parts(path)))
    await asyncio.sleep(0.15)
    event.set()
    kept = await asked
    assert kept is not None
    assert (kept.data, kept.seconds) == (b"late", 0.0)
    assert not files(work_dir)


@pytest.mark.gen_test
async def test_closing_stops_what_is_being_made(images) -> None:
    store = images()

    async def make(number: int) -> bytes:
        await asyncio.Event().wait()
        return b"never"

    (path,) = store.promise(make, 1, "image/png")
    asked = asyncio.create_task(store.get(*parts(path)))
    await asyncio.sleep(0)
    await store.close()
    with pytest.raises(asyncio.CancelledError):
        await asked
