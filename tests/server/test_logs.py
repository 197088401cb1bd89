"""What a log line shows, and what it does not."""

from __future__ import annotations

import io
import logging
import sys

import pytest

from cutaway_server import logs


@pytest.fixture
def line() -> object:
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(logs.LineFormatter())
    logger = logging.Logger("test")
    logger.addHandler(handler)

    def log(message: str, *arguments: object, exc_info: bool = False) -> str:
        logger.error(message, *arguments, exc_info=exc_info)
        return stream.getvalue()

    return log


def test_lines_carry_the_request(line) -> None:
    token = logs.request_id.set("abc123")
    assert "[abc123] test: hello" in line("hello")
    logs.request_id.reset(token)


def test_urls_are_masked(line) -> None:
    text = line("fetching %s failed", "https://user:word@a.example/path?token=secret#part")
    assert "https://a.example/path failed" in text
    assert not {"user", "word", "secret"} & set(text.replace("/", " ").replace("=", " ").split())


def test_one_record_is_one_line(line) -> None:
    assert line("title: %s", "a\nFORGED\r\x1b[31mred").count("\n") == 1


def test_tracebacks_are_masked(line) -> None:
    try:
        raise ValueError("https://a.example/?token=secret")
    except ValueError:
        assert sys.exc_info()
        text = line("failed", exc_info=True)
    assert "Traceback" in text
    assert "secret" not in text.replace('ValueError("https://a.example/?token=secret")', "")
