"""Cutaway's SDK."""
