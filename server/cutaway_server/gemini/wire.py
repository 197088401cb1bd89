"""The way to the model's service: google-genai over a transport of our own.

Comes in: settings, and questions. Goes out: google-genai's chunks. Importing this module imports google-genai (0.4 s
and 50 MB), so :mod:`cutaway_server.gemini.client` does it in a thread, when there is a key.
"""

from __future__ import annotations

import asyncio
import io
import warnings
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager, suppress
from contextvars import ContextVar
from dataclasses import dataclass, field
from functools import cache

import anyio
import httpx2
from google import genai
from google.genai import types

from cutaway_server.gemini.ask import Ask, Blob, Linked, Part
from cutaway_server.gemini.bodies import Files
from cutaway_server.gemini.events import Events
from cutaway_server.gemini.faults import FileRefused, packed, too_long
from cutaway_server.gemini.vertex import LateCredentials
from cutaway_server.settings import Settings

# It warns, on stderr, of each value that it does not know, in the words that it got.
warnings.filterwarnings("ignore", category=UserWarning, module=r"google\.genai\.")

_MOST_ANSWER_BYTES = 96 << 20
"""Of one response: images come as base64."""
_MOST_PARSED_BYTES = 16 << 20
"""Of what is left without the images, mostly signatures of thoughts: google-genai reads it on the event loop, which it
holds for 10 ms with each megabyte.
"""
_CONNECT_SECONDS = 5.0
_WRITE_SECONDS = 20.0
_KEEPALIVE_SECONDS = 60.0
_POLL_SECONDS = (0.2, 2.0)
"""Between two looks at an uploaded file, at first and at most."""
_FAILED = types.FileState.FAILED


@dataclass
class _Call:
    """What the running call has on the wire."""

    files: Files = field(default_factory=Files)
    responses: list[httpx2.Response] = field(default_factory=list)
    """To be closed by it: closing google-genai's iterators leaves them open."""


_call: ContextVar[_Call] = ContextVar("_call")
"""So that what google-genai sends and gets is known to belong to it."""


class Wire:
    """A client of google-genai, and the calls that are made of it. Not to be built on the event loop: it reads files.

    Attributes
    ----------
    can_upload
        Whether there is a Files API; Vertex has none.
    """

    def __init__(self, settings: Settings) -> None:
        _rehearse()
        self._http = httpx2.AsyncClient(
            limits=httpx2.Limits(
                max_connections=None,
                max_keepalive_connections=settings.gemini_calls,
                keepalive_expiry=_KEEPALIVE_SECONDS,
            ),
            # The service is the operator's choice, so their proxy and certificates count; a redirect is none of theirs.
            trust_env=True,
            follow_redirects=False,
            event_hooks={"request": [_prepare], "response": [_watch]},
        )
        self._base_url = settings.gemini_base_url or None
        options = types.HttpOptions(
            base_url=self._base_url,
            httpx_async_client=self._http,
            httpx_client=_unused(),
        )
        vertex = settings.vertex
        if vertex is not None:
            project, location = vertex
            client = genai.Client(
                enterprise=True,
                project=project,
                location=location,
                credentials=LateCredentials(),
                http_options=options,
            )
        else:
            assert settings.gemini_api_key is not None, "open_gemini() has looked"
            key = settings.gemini_api_key.get_secret_value()
            client = genai.Client(enterprise=False, api_key=key, http_options=options)
        self.can_upload = vertex is None
        self._client = client.aio
        self._thinking = settings.gemini_thinking.upper()
        self._safety = [
            types.SafetySetting(category=types.HarmCategory(category), threshold=types.HarmBlockThreshold(threshold))
            for category, threshold in settings.gemini_safety
        ]

    @asynccontextmanager
    async def chunks(self, ask: Ask) -> AsyncIterator[AsyncIterator[types.GenerateContentResponse]]:
        """Ask, and give the chunks; leaving closes the connection, if the answer is not at its end."""
        async with _calling() as call:
            stream = await self._client.models.generate_content_stream(
                model=ask.model,
                contents=types.Content(role="user", parts=[_part(each, call.files) for each in ask.parts]),
                config=self._config(ask),
            )
            try:
                yield _with_images(stream, call.files) if ask.images else stream
            finally:
                if isinstance(stream, AsyncGenerator):
                    await stream.aclose()

    async def upload(self, name: str, data: bytes, mime_type: str) -> Linked:
        """Upload a file under a name, and wait until it can be used.

        Raises
        ------
        FileRefused
            The service cannot read it.
        """
        async with _calling():
            file = await self._client.files.upload(
                file=io.BytesIO(data),
                config=types.UploadFileConfig(
                    name=name, mime_type=mime_type, http_options=types.HttpOptions(base_url=self._base_url)
                ),
            )
            pause, most = _POLL_SECONDS
            while file.state not in (types.FileState.ACTIVE, None):
                if file.state == _FAILED:
                    raise FileRefused
                await asyncio.sleep(pause)
                pause = min(1.5 * pause, most)
                file = await self._client.files.get(name=name)
        if not file.uri:
            raise FileRefused
        return Linked(file.uri, file.mime_type or mime_type)

    async def delete(self, name: str) -> None:
        """Delete an uploaded file."""
        async with _calling():
            await self._client.files.delete(name=name)

    async def aclose(self) -> None:
        """Close all connections."""
        await self._http.aclose()

    def _config(self, ask: Ask) -> types.GenerateContentConfig:
        config = types.GenerateContentConfig(
            # Our answers are short, and we have no functions: one question, one request.
            automatic_continuation=False,
            automatic_function_calling=types.AutomaticFunctionCallingConfig(disable=True),
            system_instruction=ask.instruction or None,
            safety_settings=self._safety or None,
        )
        if ask.schema is not None:
            config.response_mime_type = "application/json"
            config.response_json_schema = dict(ask.schema)
        if ask.images:
            config.response_modalities = ["TEXT", "IMAGE"]
        elif self._thinking:
            config.thinking_config = types.ThinkingConfig(thinking_level=types.ThinkingLevel(self._thinking))
        if ask.search:
            config.tools = [types.Tool(google_search=types.GoogleSearch())]
        if ask.low_resolution:
            config.media_resolution = types.MediaResolution.MEDIA_RESOLUTION_LOW
        if ask.model.endswith("-latest") and self.can_upload:
            # These names are only known to that version.
            config.http_options = types.HttpOptions(api_version="v1beta")
        return config


@asynccontextmanager
async def _calling() -> AsyncIterator[_Call]:
    """One call; whatever response it has left open is closed at its end."""
    call = _Call()
    token = _call.set(call)
    try:
        yield call
    finally:
        _call.reset(token)
        for response in call.responses:
            await response.aclose()


async def _with_images(
    chunks: AsyncIterator[types.GenerateContentResponse], files: Files
) -> AsyncIterator[types.GenerateContentResponse]:
    """The chunks, with the images that :class:`_Body` took out."""
    async for chunk in chunks:
        for candidate in chunk.candidates or ():
            for part in (candidate.content and candidate.content.parts) or ():
                if part.inline_data is not None and part.inline_data.data:
                    part.inline_data.data = files.received(part.inline_data.data)
        yield chunk


def _unused() -> httpx2.Client:
    """A client for calls that are never made: if it is not given, one is built, with TLS and all."""
    return httpx2.Client(transport=httpx2.MockTransport(lambda request: httpx2.Response(503)))


@cache
def _rehearse() -> None:
    """Make google-genai build what it builds at its first call: 100 ms that the event loop need not spend later."""
    asyncio.run(_call_nobody())


async def _call_nobody() -> None:
    last = b'data: {"candidates": [{"content": {"parts": [{"text": "."}]}, "finishReason": "STOP"}]}\r\n\r\n'
    transport = httpx2.MockTransport(lambda request: httpx2.Response(200, content=last))
    async with httpx2.AsyncClient(transport=transport) as http:
        options = types.HttpOptions(httpx_async_client=http, httpx_client=_unused())
        client = genai.Client(enterprise=False, api_key="none", http_options=options)
        config = types.GenerateContentConfig(
            automatic_function_calling=types.AutomaticFunctionCallingConfig(disable=True),
            tools=[types.Tool(google_search=types.GoogleSearch())],
        )
        contents = types.Content(role="user", parts=[_part(Blob(b".", "image/png"), Files())])
        chunks = await client.aio.models.generate_content_stream(model="none", contents=contents, config=config)
        async for _ in chunks:
            pass
    with suppress(OSError):  # nobody listens at port 0
        await anyio.connect_tcp("127.0.0.1", 0)


async def _prepare(request: httpx2.Request) -> None:
    """Set the times that are ours to set: google-genai says None, or tells the service about them, which then refuses.

    How long an answer may take is watched by who awaits it.
    """
    timeout = httpx2.Timeout(connect=_CONNECT_SECONDS, write=_WRITE_SECONDS, read=None, pool=None)
    request.extensions["timeout"] = timeout.as_dict()
    # Chunks that are compressed come in bunches.
    request.headers["Accept-Encoding"] = "identity"
    _call.get().files.fill(request)


async def _watch(response: httpx2.Response) -> None:
    call = _call.get()
    call.responses.append(response)
    if response.headers.get("Content-Encoding", "").lower() not in ("", "identity"):
        # It is unpacked whole, whatever comes out; a thousand times what is sent is possible.
        raise packed(response.status_code)
    assert isinstance(response.stream, httpx2.AsyncByteStream)
    streamed = response.is_success and response.request.url.params.get("alt") == "sse"
    response.stream = _Body(response.stream, call.files, Events() if streamed else None)


class _Body(httpx2.AsyncByteStream):
    """The body of an answer, without its images, and not longer than any real one is."""

    def __init__(self, body: httpx2.AsyncByteStream, files: Files, events: Events | None) -> None:
        self._body = body
        self._parts = aiter(body)
        self._files = files
        self._events = events

    async def __aiter__(self) -> AsyncIterator[bytes]:
        left, parsed_left = _MOST_ANSWER_BYTES, _MOST_PARSED_BYTES
        async for data in self._parts:
            left -= len(data)
            data = self._files.take_out(data)
            parsed_left -= len(data)
            if left < 0 or parsed_left < 0:
                raise too_long()
            yield data if self._events is None else self._events.pass_(data)
        rest = self._files.rest()
        if len(rest) > parsed_left:
            raise too_long()
        yield rest if self._events is None else self._events.pass_(rest) + self._events.rest()

    async def aclose(self) -> None:
        if isinstance(self._parts, AsyncGenerator):
            await self._parts.aclose()  # now, not whenever the garbage is collected
        await self._body.aclose()


class _Part(types.Part):
    """A part in which google-genai finds its fields five times as fast: with a hundred pictures, 10 ms sooner.

    It asks whether a name is *in* a part before it asks for the attribute, and a part goes through all it has for that.
    """

    def __contains__(self, name: object) -> bool:
        return False


def _part(part: Part, files: Files) -> types.Part:
    if isinstance(part, str):
        return _Part(text=part)
    if isinstance(part, Blob):
        return _Part(inline_data=types.Blob(data=files.mark(part.data), mime_type=part.mime_type))
    link = types.FileData(file_uri=part.uri, mime_type=part.mime_type)
    return _Part(file_data=link, video_metadata=_stretch(part))


def _stretch(link: Linked) -> types.VideoMetadata | None:
    if link.start is None and link.end is None and link.fps is None:
        return None
    return types.VideoMetadata(start_offset=_offset(link.start), end_offset=_offset(link.end), fps=link.fps)


def _offset(seconds: float | None) -> str | None:
    return None if seconds is None else f"{max(0.0, seconds):.3f}".rstrip("0").rstrip(".") + "s"
