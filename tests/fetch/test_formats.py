"""What is made of yt-dlp's answers and of what it raises: which formats and captions are taken, and what is told."""

from __future__ import annotations

from typing import Any

import pytest
from yt_dlp.utils import DownloadError, ExtractorError, GeoRestrictedError, UnsupportedError, UserNotLive

from cutaway_server.fetch import complaints
from cutaway_server.fetch.complaints import explain_site
from cutaway_server.fetch.formats import describe
from cutaway_server.fetch.sites import NoVideo, Site, SiteFailed


def described(**info: Any) -> Site:
    return describe(info, lambda url: None)


def muxed(name: str, **more: Any) -> dict[str, Any]:
    sound = {"acodec": "mp4a.40.2", "vcodec": "avc1.4d401f", "protocol": "https", "height": 360}
    return {"url": f"https://a.example/{name}", **sound, **more}


def picture(name: str, height: int, **more: Any) -> dict[str, Any]:
    return muxed(name, height=height, acodec="none", **more)


def sound(name: str, **more: Any) -> dict[str, Any]:
    return muxed(name, vcodec="none", height=None, **more)


def hls(name: str, height: int, **more: Any) -> dict[str, Any]:
    return muxed(name, height=height, protocol="m3u8_native", manifest_url="https://a.example/all.m3u8", **more)


def names(site: Site) -> list[tuple[str, str]]:
    urls = [(c.video.url, c.sound.url if c.sound else "") for c in site.choices]
    return [(a.rpartition("/")[2], b.rpartition("/")[2]) for a, b in urls]


VP9 = {"vcodec": "vp09.00.41.08"}
OPUS = {"acodec": "opus"}


@pytest.mark.parametrize(
    ("formats", "best"),
    [
        ([muxed("360"), picture("720", 720), picture("1080", 1080), sound("aac")], ("720", "aac")),
        ([muxed("360"), picture("vp9", 720, **VP9), sound("aac")], ("360", "")),
        ([muxed("720", height=720), picture("720v", 720), sound("aac")], ("720", "")),
        ([picture("1080", 1080), picture("2160", 2160), sound("aac")], ("1080", "aac")),
        ([picture("720", 720), sound("opus", **OPUS), sound("aac", abr=64)], ("720", "aac")),
        ([picture("720", 720), sound("dub", language_preference=-10), sound("own", **OPUS)], ("720", "own")),
        ([picture("720", 720), sound("opus", **OPUS)], ("720", "opus")),
        ([picture("silent", 720)], ("silent", "")),
        ([picture("silent", 720), muxed("heard", height=240)], ("heard", "")),
        ([hls("hls", 720), muxed("file", height=720)], ("file", "")),
        ([hls("hls", 720), muxed("file", height=240)], ("all.m3u8", "")),
        ([{"url": "https://a.example/plain.mp4"}], ("plain.mp4", "")),
        ([{"url": "https://a.example/low.mp4"}, {"url": "https://a.example/high.mp4"}], ("high.mp4", "")),
        ([muxed("drm", has_drm=True), muxed("free", height=144)], ("free", "")),
        ([{"url": "https://a.example/s", "protocol": "mhtml"}, muxed("film")], ("film", "")),
        ([picture("720", 720), sound("aac"), sound("odd", abr=320, url=None)], ("720", "aac")),
        ([muxed("x", url="file:///etc/passwd"), muxed("y", url="rtmp://a/b"), muxed("z")], ("z", "")),
    ],
)
def test_the_best_format(formats: list[dict[str, Any]], best: tuple[str, str]) -> None:
    for each in (formats, formats[::-1]) if len({f.get("height") for f in formats}) > 1 else (formats,):
        assert names(described(formats=each))[0] == best


def test_a_playlist_is_tried_once() -> None:
    assert names(described(formats=[hls(str(n), n) for n in (144, 360, 720)])) == [("all.m3u8", "")]


def test_header_fields_that_may_be_sent() -> None:
    fields = {
        "Referer": "https://a.example/",
        "Host": "inside",
        "range": "bytes=0-1",
        "Proxy-Authorization": "x",
        "Bad Name": "x",
        "X-Split": "a\r\nHost: inside",
        "X-Long": "x" * 5000,
        "X-Number": 3,
        "Origin": "https://a.example",
    }
    info = {"formats": [muxed("film", http_headers=fields)]}
    (choice,) = describe(info, lambda url: "ticket=secret").choices
    assert dict(choice.video.fields) == {
        "Referer": "https://a.example/",
        "Origin": "https://a.example",
        "Cookie": "ticket=secret",
    }


def track(name: str, ext: str = "vtt", **more: Any) -> dict[str, Any]:
    return {"url": f"https://a.example/{name}", "ext": ext, **more}


@pytest.mark.parametrize(
    ("info", "best"),
    [
        ({"subtitles": {"en": [track("en")]}, "automatic_captions": {"en": [track("auto")]}}, "en"),
        ({"language": "de-DE", "subtitles": {"en": [track("en")], "de": [track("de")]}}, "de"),
        ({"language": "de", "subtitles": {"en": [track("en")]}, "automatic_captions": {"de": [track("auto")]}}, "auto"),
        ({"automatic_captions": {"fr": [track("fr")], "de-orig": [track("orig")], "en": [track("en")]}}, "orig"),
        ({"subtitles": {"fr": [track("fr")], "en-GB": [track("en")]}}, "en"),
        ({"subtitles": {"en": [track("t", "ttml"), track("j", "json3"), track("v")]}}, "v"),
        ({"subtitles": {"live_chat": [track("chat", "json3")]}}, None),
        ({"subtitles": {"en": [track("pictures", "sub"), track("list", protocol="m3u8_native")]}}, None),
        ({"subtitles": {"en": [track("file", url="file:///etc/passwd")]}}, None),
        ({"subtitles": {"en": [{"ext": "srt", "data": "1\n"}]}}, ""),
    ],
)
def test_the_best_captions(info: dict[str, Any], best: str | None) -> None:
    found = described(formats=[muxed("film")], **info).captions
    if best is None:
        assert found is None
    else:
        assert found is not None
        assert (found.stream.url if found.stream else "").rpartition("/")[2] == best


def test_captions_in_the_page_are_bounded_in_bytes() -> None:
    found = described(formats=[muxed("film")], subtitles={"ja": [{"ext": "vtt", "data": "雪\ud800" * 10**6}]}).captions
    assert found is not None
    assert 500_000 < len(found.text.encode()) <= 512 << 10
    empty = {"en": [{"ext": "vtt", "data": ""}], 3: [{"ext": "vtt", "data": "WEBVTT"}]}
    assert described(formats=[muxed("film")], subtitles=empty).captions is None


def test_what_is_odd_is_left_out() -> None:
    spans: list[Any] = [
        {"start_time": 0, "end_time": 5, "title": "Dawn\x1b[31m\n!", "value": 3},
        {"start_time": 5, "end_time": 2, "title": "backwards"},
        {"start_time": float("nan"), "end_time": float("inf")},
        {"start_time": "1", "end_time": None},
        {"start_time": 1, "end_time": 10**400},
        "no",
    ]
    site = described(
        formats=[muxed("film", height=float("nan")), "no", None, {}], title=["x"], chapters=spans, heatmap=spans * 999
    )
    assert site.title == ""
    assert [c[:2] for c in site.chapters] == [(0, 5)]
    assert "\x1b" not in site.chapters[0][2]
    assert set(site.heat) == {(0, 5, 1.0)}
    assert len(site.heat) <= 1000
    assert len(described(formats=[muxed("f")], title="x" * 10**6, description="y" * 10**6).description) <= 5000


@pytest.mark.parametrize(
    ("info", "words"),
    [
        ({"formats": [muxed("film")], "is_live": True}, complaints.LIVE),
        ({"formats": [], "live_status": "is_upcoming"}, complaints.LIVE),
        ({"formats": [muxed("film", has_drm=True)]}, complaints.PROTECTED),
        ({"formats": []}, "no video"),
        ({"formats": [sound("only")]}, "no video"),
        ({}, "no video"),
    ],
)
def test_what_cannot_be_shown(info: dict[str, Any], words: str) -> None:
    with pytest.raises(SiteFailed) as caught:
        described(**info)
    assert words in caught.value.message


def raised(error: ExtractorError) -> Exception:
    """As it comes out of yt-dlp: another error, made while the extractor's is handled."""
    try:
        try:
            try:
                raise ValueError("an earlier one")
            except ValueError:
                raise error from None
        except ExtractorError:
            raise DownloadError("ERROR: something")  # noqa: B904 - as yt-dlp does
    except DownloadError as made:
        return made


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Private video. Sign in if you've been granted access to this video", complaints.PRIVATE),
        ("Sign in to confirm you’re not a bot. Use --cookies-from-browser", complaints.ROBOT),
        ("Sign in to confirm your age. This video may be inappropriate for some users.", complaints.AGE),
        ("This video is available to this channel's members on level: Gold", complaints.LOGIN),
        ("This video is only available for registered users. Use --cookies", complaints.LOGIN),
        ("The uploader has not made this video available in your country", complaints.REGION),
        ("Video unavailable. This video has been removed by the uploader", complaints.GONE),
        ("This video is no longer available because the account has been terminated.", complaints.GONE),
        ("This live event will begin in 3 hours.", complaints.LIVE),
        ("Premieres in 2 days", complaints.LIVE),
        ("This video is DRM protected", complaints.PROTECTED),
        ("This live stream recording is not available.", complaints.LIVE),
        ("The channel is not currently live", complaints.LIVE),
        ("You have to pay for this video", complaints.LOGIN),
        ("This video is geo-restricted", complaints.REGION),
        ("Unable to extract player config", complaints.CHANGED),
        ("Unable to extract live config; unexpected layout of the login page", complaints.CHANGED),
        ("Failed to parse JSON (premature end of the private region)", complaints.CHANGED),
        ("Unexpected player payload", complaints.CHANGED),
        ("Premature end of the geometry's live config", complaints.CHANGED),
        ("No video formats found!", "no video"),
    ],
)
def test_what_sites_say(text: str, words: str) -> None:
    fault = explain_site(raised(ExtractorError(text, expected=True, video_id="x")), "")
    assert words in fault.message
    assert "cookies" not in fault.message


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (GeoRestrictedError("not in http://10.1.2.3/", countries=["DE"]), complaints.REGION),
        (UserNotLive(), complaints.LIVE),
        (UnsupportedError("http://10.1.2.3/live/private"), "no video"),
    ],
)
def test_errors_of_their_own_kind(error: ExtractorError, words: str) -> None:
    fault = explain_site(raised(error), "")
    assert words in fault.message
    assert "10.1.2.3" not in fault.message
    assert isinstance(fault, NoVideo) == isinstance(error, UnsupportedError)


def test_what_the_door_refused() -> None:
    assert explain_site(raised(UnsupportedError("x")), "address").message == complaints.REFUSED
