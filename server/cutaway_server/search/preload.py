"""Importing this loads the word vectors, so that workers are forked with them: 0.6 s and 25 MB once, not for each."""

from __future__ import annotations

from cutaway_server.search import embedding

embedding.load()
