"""Faces for notebooks: :class:`SnippetGallery` and :class:`SearchView`, widgets that fill while a stream runs.

They need the extra ``notebook`` (``pip install 'cutaway[notebook]'``) and are imported by nothing else of this package
but a stream that ends a cell of a notebook. What comes in are streams, on the SDK's own thread; what goes out are small
states and, when somebody wants to see one, a video's or an image's bytes.

>>> from cutaway.widgets import SearchView, SnippetGallery
>>> SnippetGallery("https://example.com/talk.mp4", client=client)  # doctest: +SKIP
>>> view = SearchView(client)  # doctest: +SKIP
"""

from .gallery import SnippetGallery
from .searchview import SearchView

__all__ = ["SearchView", "SnippetGallery"]
