"""``/generated/...``: the images of searches. A path comes in that only who searched has been told; the image goes out,
for as long as it is kept.
"""

from __future__ import annotations

import asyncio

from tornado.web import HTTPError

from cutaway_server.errors import Fault
from cutaway_server.pages.base import Guarded
from cutaway_server.search.generated import GeneratedImages, Kept


class Generated(Guarded):
    """One image."""

    _etag: str | None = None
    _asked: asyncio.Task[Kept | None] | None = None

    async def get(self, token: str, name: str) -> None:
        """The image; it is made now when nobody has asked for it before."""
        images: GeneratedImages | None = self.settings["generated_images"]
        if images is None:
            raise HTTPError(404)
        self._asked = asyncio.create_task(images.get(token, name), name=f"get {name}")
        await asyncio.wait([self._asked])
        if self._asked.cancelled():  # the client has left
            return
        try:
            kept = self._asked.result()
        except Fault as fault:
            raise HTTPError(503, reason="The image cannot be made now") from fault
        if kept is None:
            raise HTTPError(404)
        self._etag = kept.etag
        self.set_header("Content-Type", kept.mime_type)
        self.keep_for_who_knows_the_path(kept.seconds)
        self.finish(kept.data)

    head = get

    def on_connection_close(self) -> None:
        """The client has left: nothing is made for it any more."""
        if self._asked is not None:
            self._asked.cancel()

    def compute_etag(self) -> str | None:
        """Known since the image was made; Tornado compares it with ``If-None-Match``."""
        return self._etag
