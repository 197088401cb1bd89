"""Looking at the widgets' views as a person does, and cells and messages that make them."""

from __future__ import annotations

import io
import re
from pathlib import Path

from msgspec import structs
from PIL import Image, ImageStat
from playwright.sync_api import Locator

from cutaway import protocol
from sdk.fake_server import snippet

CLIENT = "import cutaway, ipywidgets, threading\nclient = cutaway.Client({url!r})"
STREAM = "client.snippets('https://example.com/talk.mp4')"
"""Cells: a client, and a stream of it."""


def cards_of(gallery: Locator) -> Locator:
    """The cards of a gallery."""
    return gallery.get_by_role("list", name="Snippets").get_by_role("listitem")


def button(view: Locator, name: str) -> Locator:
    """A button of a view."""
    return view.get_by_role("button", name=name, exact=True)


def play(gallery: Locator, number: int = 0) -> None:
    """Press a card."""
    cards_of(gallery).nth(number).get_by_role("button", name=re.compile("^Play ")).click()


def decoded(images: Locator) -> list[int]:
    """The widths of images, once they are there; fails when one cannot be shown."""
    script = "images => Promise.all(images.map(image => image.decode().then(() => image.naturalWidth)))"
    widths: list[int] = images.evaluate_all(script)
    return widths


def plays(video: Locator) -> None:
    """Wait until it plays; fails when what is painted then is one colour."""
    video.page.wait_for_function(
        "video => video.currentTime > 0.5 && video.getVideoPlaybackQuality().totalVideoFrames > 5",
        arg=video.element_handle(),
    )
    video.evaluate("video => { video.pause(); video.controls = false }")
    picture = Image.open(io.BytesIO(video.screenshot())).convert("L")
    middle = picture.crop((picture.width // 4, picture.height // 4, picture.width * 3 // 4, picture.height * 3 // 4))
    assert ImageStat.Stat(middle).stddev[0] > 8


def with_words(message: protocol.Snippet, **metadata: object) -> protocol.Snippet:
    """The same snippet with other words or another poster."""
    data = structs.replace(message.data, metadata=structs.replace(message.data.metadata, **metadata))
    return structs.replace(message, data=data)


def of_film(film: Path, path: str | None = None) -> protocol.Snippet:
    """A snippet that plays."""
    message = with_words(snippet(1), video_path=path)
    return structs.replace(message, data=structs.replace(message.data, video_data=film.read_bytes()))
