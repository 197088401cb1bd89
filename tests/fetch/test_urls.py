"""Which texts are URLs that may be fetched, and what a log shows of them."""

from __future__ import annotations

import pickle

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cutaway_server.errors import Fault
from cutaway_server.fetch.urls import InvalidURL, check_url, mask_url, mask_userinfo


@pytest.mark.parametrize(
    ("given_url", "fetched"),
    [
        ("http://example.org", "http://example.org/"),
        ("HTTPS://Example.ORG/Film.MP4", "https://example.org/Film.MP4"),
        ("http://example.org:80/a", "http://example.org/a"),
        ("https://example.org:443/a", "https://example.org/a"),
        ("https://example.org:8443/a?b=c&d", "https://example.org:8443/a?b=c&d"),
        ("http://example.org:/a", "http://example.org/a"),
        ("http://example.org./a", "http://example.org/a"),
        ("http://example.org?x=/y", "http://example.org/?x=/y"),
        ("http://example.org/a#__youtubedl_smuggle=%7B%7D", "http://example.org/a"),
        ("http://example.org/a;v=1?sig=%2F%2f", "http://example.org/a;v=1?sig=%2F%2f"),
        ("http://example.org/@user/film", "http://example.org/@user/film"),
        ("http://example.org/träume", "http://example.org/tr%C3%A4ume"),
        ("http://bücher.example/", "http://xn--bcher-kva.example/"),
        ("http://my_host.example/", "http://my_host.example/"),
        ("http://[2001:DB8:0:0::1]:8080/", "http://[2001:db8::1]:8080/"),
        ("http://１２７.０.０.１/", "http://127.0.0.1/"),
        ("http://127。0。0。1/", "http://127.0.0.1/"),
        ("http://ⓔxample.org/", "http://example.org/"),
        ("http://2130706433/", "http://2130706433/"),  # judged when it is resolved
    ],
)
def test_accepted_urls_are_normalised(given_url: str, fetched: str) -> None:
    assert check_url(given_url) == fetched
    assert check_url(fetched) == fetched
    assert mask_userinfo(given_url) == given_url


@pytest.mark.parametrize(
    ("text", "cause"),
    [
        (None, "No URL"),
        ("", "No URL"),
        ("some words", "space"),
        ("words", "not a URL"),
        ("--exec=id", "not a URL"),
        ("file:///etc/passwd", "file is not supported"),
        ("ftp://example.org/a", "ftp is not supported: give an http or https URL"),
        ("rtsp://example.org/a", "rtsp is not supported"),
        ("gopher://example.org/", "gopher is not supported"),
        ("data:video/mp4;base64,AAAA", "data is not supported"),
        ("concat:a|b", "concat is not supported"),
        ("lavfi:testsrc", "lavfi is not supported"),
        ("javascript:alert(1)", "javascript is not supported"),
        ("user:secret@example.org/a", "not supported"),
        ("//example.org/a", "not a URL"),
        ("http:example.org", "no host"),
        ("http:/example.org", "no host"),
        ("http://", "no host"),
        ("http:///path", "no host"),
        ("http://:80/", "no host"),
        ("http://?a", "no host"),
        ("http://user:secret@example.org/", "User names and passwords"),
        ("http://user@example.org/", "User names"),
        ("http://example.org%40evil.example/", "percent-encoded"),
        ("http://%6c%6fcalhost/", "percent-encoded"),
        ("http://example.org\\@evil.example/", "User names"),
        ("http://example.org\\evil", "backslash"),
        (" http://example.org/", "space"),
        ("http://example.org/ ", "space"),
        ("http://example.org/a b", "space"),
        ("http://example.org/\x00", "control character"),
        ("http://example.org/\r\nHost: x", "control character"),
        ("http://exam\tple.org/", "control character"),
        ("http://example.org/\u2028", "space"),
        ("http://example.org/\ud800", "control character"),
        ("http://example.org:0/", "port"),
        ("http://example.org:99999/", "port"),
        ("http://example.org:65536/", "port"),
        ("http://example.org:8o/", "port"),
        ("http://example.org:+80/", "port"),
        ("http://example.org:８０/", "port"),
        ("http://example.org:80:80/", "more than one colon"),
        ("http://::1/", "no host|more than one colon"),
        ("http://[::1/", "broken brackets"),
        ("http://::1]/", "broken brackets"),
        ("http://[::1]x/", "broken brackets"),
        ("http://[[::1]]/", "brackets"),
        ("http://[]/", "not an IPv6"),
        ("http://[1.2.3.4]/", "not an IPv6"),
        ("http://[fe80::1%25eth0]/", "zone"),
        ("http://[fe80::1%eth0]/", "zone"),
        ("http://a..b/", "host name"),
        ("http://-a.example/", "host name"),
        ("http://exa$mple.org/", "host name"),
        ("http://exa<mple.org/", "host name"),
        ("http://" + "a" * 64 + ".org/", "host name"),
        ("http://" + "a." * 130 + "org/", "host name"),
        ("http://\u200d.example/", "international"),
        ("http://example.org/" + "a" * 20_000, "longer than 8192"),
        ("http://example.org/" + "ä" * 8000, "longer than 8192"),
    ],
)
def test_refused_urls_name_the_cause(text: str | None, cause: str) -> None:
    with pytest.raises(InvalidURL, match=cause) as caught:
        check_url(text)
    assert "secret" not in caught.value.message
    assert pickle.loads(pickle.dumps(caught.value)).message == caught.value.message


@settings(deadline=None)
@given(st.text(max_size=60) | st.text(max_size=40).map(lambda text: f"http://{text}"))
def test_any_text_is_a_clean_url_or_a_fault(text: str) -> None:
    try:
        url = check_url(text)
    except Fault as fault:
        assert len(fault.message) < 300
    else:
        assert url.isascii() and url.isprintable() and " " not in url and "#" not in url
        assert "@" not in url.split("/")[2]
        assert check_url(url) == url


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("http://user:secret@example.org/a/b?token=secret#secret", "http://example.org/a/b"),
        ("HTTPS://example.org:8443/a", "https://example.org:8443/a"),
        ("http://example.org/@user/a", "http://example.org/@user/a"),
        ("http://user:sec/ret@example.org/a", "http://example.org/a"),
        ("user:secret@example.org", "example.org"),
        ("http://example.org/\x1b[31m\r\nfake\u202e", "http://example.org/[31mfake"),
        ("http://example.org/" + "a" * 500, "http://example.org/" + "a" * 180 + "…"),
        ("", ""),
        (None, "None"),
        (b"\xff", r"b'\xff'"),
    ],
)
def test_masked_urls_hold_no_secret(text: object, shown: str) -> None:
    assert mask_url(text) == shown


@settings(deadline=None)
@given(st.text() | st.binary() | st.none() | st.integers())
def test_masking_never_raises(thing: object) -> None:
    shown = mask_url(thing)
    assert len(shown) <= 200 and "\n" not in shown and "?" not in shown


@pytest.mark.parametrize(
    ("url", "masked"),
    [
        ("https://a.example/@b", "https://a.example/@b"),
        ("https://a.example:8443/@b?c=d@e", "https://a.example:8443/@b?c=d@e"),
        ("https://u@a.example/", "https://***@a.example/"),
        ("HTTPS://u:p@w@a.example:80/x?y=z@", "HTTPS://***@a.example:80/x?y=z@"),
        ("https://user:se/cret@a.example/", "https://***@a.example/"),
        ("https://user:se?cret@a.example/", "https://***@a.example/"),
        ("https://user:se#cret@a.example/", "https://***@a.example/"),
        ("user:secret@a.example/f.mp4", "***@a.example/f.mp4"),
        ("user:se/cret@a.example/f.mp4", "***@a.example/f.mp4"),
        ("//u:p@a.example/", "//***@a.example/"),
        ("http:\\\\u:p@a.example", "http:\\\\***@a.example"),
        ("some words", "some words"),
        ("", ""),
    ],
)
def test_user_names_are_masked(url: str, masked: str) -> None:
    assert mask_userinfo(url) == masked
    assert "se" not in mask_url(url)
