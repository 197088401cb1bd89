"""Importing this loads the word vectors: for the process that workers are forked from, so that all share them and none
waits 1.5 s. The event loop's process never imports it.
"""

from cutaway_server.search import embedding

embedding.load()
