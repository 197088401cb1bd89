"""Cutaway: the moments that matter, streamed: snippets out of any video, and search with summary and images.

>>> import cutaway
>>> with cutaway.embedded() as server, cutaway.Client(server) as client:  # doctest: +SKIP
...     for snippet in client.snippets("https://example.com/talk.mp4"):
...         print(snippet.title, snippet.save("highlights/"))
...     for article in client.search("solar sails").articles:
...         print(article.number, article.title, article.url)

:class:`Client` is for scripts and notebooks, :class:`AsyncClient` the same for asyncio; both talk to a server
that runs somewhere (``cutaway serve``) or to one that :func:`embedded` starts. What can go wrong is one tree
of errors under :class:`CutawayError`. The messages on the wire are in :mod:`cutaway.protocol`.
"""

from importlib.metadata import version as _version

from .answer import AgentFailed, ImageCaption, SearchResult, SummaryChunk, SummaryDone
from .articles import Article, Articles
from .client import AsyncClient
from .embedded import EmbeddedServer, embedded
from .errors import (
    ConnectError,
    ConnectionLost,
    CutawayError,
    InvalidRequest,
    ProtocolError,
    ServerError,
    ServerNotInstalled,
    ServerStartError,
    Timeout,
)
from .images import AsyncGeneratedImage, GeneratedImage
from .sample import sample_video
from .search import AsyncSearchStream, SearchStream
from .snippets import AsyncSnippetStream, SnippetStream
from .sync import Client
from .values import Progress, Snippet

__version__ = _version("cutaway")

__all__ = [
    "AgentFailed",
    "Article",
    "Articles",
    "AsyncClient",
    "AsyncGeneratedImage",
    "AsyncSearchStream",
    "AsyncSnippetStream",
    "Client",
    "ConnectError",
    "ConnectionLost",
    "CutawayError",
    "EmbeddedServer",
    "GeneratedImage",
    "ImageCaption",
    "InvalidRequest",
    "Progress",
    "ProtocolError",
    "SearchResult",
    "SearchStream",
    "ServerError",
    "ServerNotInstalled",
    "ServerStartError",
    "Snippet",
    "SnippetStream",
    "SummaryChunk",
    "SummaryDone",
    "Timeout",
    "__version__",
    "embedded",
    "sample_video",
]

# The public home of a name is this package: it is what tracebacks, pickles and help() show.
for _name in __all__:
    if hasattr(globals()[_name], "__module__"):
        globals()[_name].__module__ = __name__
del _name
