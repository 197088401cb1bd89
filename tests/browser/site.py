"""The page before a server that plays scripts: the real files, and sockets that say what a test wants them to."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tornado.web import RequestHandler

from cutaway import protocol
from cutaway_server.pages.web import WEB_PATH, Web
from cutaway_server.settings import Settings
from sdk.fake_search import FakeSearch
from sdk.fake_server import VideoPlayer
from snippets.film import ffmpeg

_VIDEO_MESSAGES = (protocol.Snippet, protocol.SnippetComplete, protocol.Progress, protocol.VideoError)


class Site(FakeSearch):
    """Use as a ``with`` block. ``script`` is played to who asks for snippets, ``answers`` to who searches."""

    def routes(self) -> list[Any]:
        return [
            (self.prefix + protocol.VIDEO_PATH, VideoPlayer, {"fake": self}),
            *super().routes(),
            ("/blank", _Blank),
            (WEB_PATH, _Files),
        ]

    def encode(self, message: Any) -> bytes:
        return super().encode(message) if not isinstance(message, _VIDEO_MESSAGES) else protocol.encode_video(message)

    def page(self, address: str = "") -> str:
        """The URL of the page, with what follows its ``#``."""
        return f"http://127.0.0.1:{self.port}/#{address}"


class _Blank(RequestHandler):
    def get(self) -> None:
        self.finish("<!doctype html><title>Blank</title><link rel='icon' href='data:,'>")


class _Files(Web):
    cutaway = Settings(_env_file=None)  # type: ignore[call-arg,assignment]


def make_clip(path: Path, colour: str = "0x2a9d8f", seconds: int = 3) -> bytes:
    """An MP4 as snippets are: H.264 with AAC."""
    picture = ("-f", "lavfi", "-i", f"color={colour}:s=320x180:r=25:d={seconds}")
    sound = ("-f", "lavfi", "-i", f"sine=d={seconds}")
    coding = ("-c:v", "libx264", "-pix_fmt", "yuv420p", "-preset", "ultrafast", "-c:a", "aac", "-shortest")
    ffmpeg(*picture, *sound, *coding, "-movflags", "+faststart", path)
    return path.read_bytes()


def snippet(number: int, clip: bytes, **metadata: Any) -> protocol.Snippet:
    """A snippet message with a clip that plays."""
    known = {"title": f"Moment {number}", "description": f"What happens in moment {number}."}
    times = {"start": number * 60.0, "end": number * 60.0 + 3}
    about = {"src_video_url": "https://example.com/talk.mp4", **known, **times, **metadata}
    return protocol.Snippet(
        data=protocol.SnippetData(video_data=clip, metadata=protocol.SnippetMetadata(**about)),
    )
