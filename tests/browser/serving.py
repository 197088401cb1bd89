"""Servers for pages: the real one in a process of its own, with an origin that it may fetch from; and the same page before
a server that plays scripts.
"""
