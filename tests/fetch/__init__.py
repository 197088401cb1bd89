"""Tests of the fetch room."""
