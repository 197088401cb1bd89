"""Cutaway's server."""
