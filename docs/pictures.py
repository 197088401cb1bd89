"""What the scripts that make pictures share: the browser, a video that stands still, PNGs with few colours."""

from __future__ import annotations

import io
import os
import shutil
import sys
from pathlib import Path

from PIL import Image
from playwright.sync_api import Browser, BrowserType, Locator

ROOT = Path(__file__).parents[1]
MOST_BYTES = 150_000
_COLOURS = (256, 192, 128, 96, 64)


def launched(chromium: BrowserType) -> Browser:
    """The system's Chromium, as the tests start it."""
    program = os.environ.get("CUTAWAY_CHROMIUM") or shutil.which("chromium")
    return chromium.launch(executable_path=program, args=["--no-sandbox"])


def stopped_at(video: Locator, seconds: float) -> None:
    """Show one frame, without controls."""
    video.evaluate(
        """(video, seconds) => new Promise((resolve) => {
          video.pause();
          video.controls = false;
          video.addEventListener("seeked", () => requestAnimationFrame(() => requestAnimationFrame(resolve)));
          video.currentTime = seconds;
        })""",
        seconds,
    )


def keep(png: bytes, place: str) -> None:
    """Save a picture in the repository, with as many colours as fit."""
    picture = Image.open(io.BytesIO(png)).convert("RGB")
    for colours in _COLOURS:
        small = io.BytesIO()
        picture.quantize(colours, dither=Image.Dither.NONE).save(small, "PNG", optimize=True)
        if small.tell() <= MOST_BYTES:
            break
    else:
        sys.exit(f"{place} cannot be made small: {small.tell()} bytes")
    (ROOT / place).parent.mkdir(parents=True, exist_ok=True)
    (ROOT / place).write_bytes(small.getvalue())
    print(f"{place}: {picture.width}x{picture.height}, {colours} colours, {small.tell():,} bytes")
