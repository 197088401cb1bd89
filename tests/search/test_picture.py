"""The image of a request: the words that it carries, and the images that are refused, bombs included."""

from __future__ import annotations

import base64
import contextlib
import resource
import struct
import time
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cutaway_server.search.containers import MAX_FRAMES
from cutaway_server.search.picture import BadImage, decode, look

from .pictures import (
    XMP,
    b64,
    bare_png,
    chunk,
    gif,
    jpeg_with_comment,
    jpeg_with_xmp,
    picture,
    png,
    with_exif,
    with_iptc,
)


def wide(text: str) -> bytes:
    return text.encode("utf-16-le") + b"\0\0"


# --- what a picture says -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (png(("Title", "Jet engine"), ("Description", "Test stand in the cold")), "Jet engine, Test stand in the cold"),
        (png(("Description", "Test stand"), packed=True), "Test stand"),
        (png(("Title", "Züge in Österreich")), "Züge in Österreich"),
        (png(("Title", "Züge"), packed=True), "Züge"),
        (png(("XML:com.adobe.xmp", XMP)), "Steam locomotive, A Mallard at full speed, railway, England"),
        (png(("parameters", "a red fox in snow\nNegative prompt: blurry\nSteps: 20")), "a red fox in snow"),
        (picture("PNG"), ""),
        (with_exif("JPEG", {0x010E: "A red bridge"}), "A red bridge"),
        (with_exif("PNG", {0x010E: "A red bridge"}), "A red bridge"),
        (with_exif("WEBP", {0x010E: "A red bridge"}), "A red bridge"),
        (with_exif("JPEG", {0x9C9B: wide("Brücke"), 0x9C9E: wide("river;steel")}), "Brücke, river, steel"),
        (with_exif("JPEG", {}, b"ASCII\0\0\0Old harbour"), "Old harbour"),
        (with_exif("JPEG", {}, b"UNICODE\0" + "Hafen 港".encode("utf-16-be")), "Hafen 港"),
        (with_exif("JPEG", {}, b"UNICODE\0" + "Hafen".encode("utf-16-le")), "Hafen"),
        (
            with_iptc((120, b"Opening of the dam"), (25, b"water"), (25, b"energy"), (90, b"Itaipu")),
            "Opening of the dam, water, energy, Itaipu",
        ),
        (with_iptc((105, "Überschwemmung".encode()), utf8=True), "Überschwemmung"),
        (with_iptc((105, "Überschwemmung".encode("latin-1"))), "Überschwemmung"),
        (jpeg_with_xmp(), "Steam locomotive, A Mallard at full speed, railway, England"),
        (jpeg_with_comment("Grüße".encode()), "Grüße"),
        (jpeg_with_comment("GrÃ¼ÃŸe".encode()), "Grüße"),
        (gif(3, b"A walk in the park"), "A walk in the park"),
        (picture("GIF"), ""),
        (picture("WEBP", xmp=XMP.encode()), "Steam locomotive, A Mallard at full speed, railway, England"),
        (picture("WEBP", lossless=True), ""),
    ],
)
def test_words(data: bytes, words: str) -> None:
    assert look(b64(data)).words == words


@pytest.mark.parametrize(
    "text",
    [
        "Created with GIMP",
        "OLYMPUS DIGITAL CAMERA",
        "SONY DSC",
        "Screenshot",
        "Screenshot 2024-01-02 at 10.11.12.png",
        "IMG_2041.JPG",
        "exif_JPEG_PICTURE",
        "Lavc58.54.100",
        "CREATOR: gd-jpeg v1.0 (using IJG JPEG v62), quality = 90",
        "Compressed by jpeg-recompress",
        "   ",
        "12345 - 67",
        "default",
    ],
)
def test_what_programs_write_is_no_caption(text: str) -> None:
    assert look(b64(png(("Description", text)))).words == ""


def test_a_long_caption_is_cut_between_words_and_none_is_said_twice() -> None:
    words = look(b64(png(("Description", "word " * 1000), ("Comment", "word " * 1000)))).words
    assert len(words) <= 400
    assert words.endswith("word")
    assert look(b64(png(("Title", "A fox"), ("Description", "a fox")))).words == "A fox"


def test_controls_are_left_out() -> None:
    assert look(b64(png(("Title", "a\x1b[31mred\u202efox")))).words == "a [31mred fox"


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "GIF", "WEBP"])
def test_sizes_of_real_pictures(kind: str) -> None:
    found = look(b64(picture(kind, (123, 45))))
    assert (found.width, found.height, found.frames) == (123, 45, 1)
    assert found.mime_type == f"image/{kind.lower()}"


# --- base64 and data URLs -----------------------------------------------------------------------------------------


@given(st.binary(min_size=1, max_size=2000), st.sampled_from([0, 4, 19, 76]))
def test_base64_in_lines_or_in_one(data: bytes, line: int) -> None:
    text = b64(data)
    if line:
        text = "\r\n".join(text[n : n + line] for n in range(0, len(text), line))
    assert decode(text) == (None, data)
    assert decode(f"data:image/PNG;charset=x;base64,{text}") == ("image/png", data)


@given(st.text(max_size=200))
def test_any_text_is_decoded_or_refused(text: str) -> None:
    try:
        _, data = decode(text)
    except BadImage:
        return
    assert base64.b64encode(data).decode() in text.replace("\n", "").replace("\r", "").replace("\t", "").replace(
        " ", ""
    )


@given(
    st.sampled_from(
        [png(("Title", "x")), picture("JPEG"), gif(2, b"x"), picture("WEBP"), jpeg_with_xmp(), with_iptc((5, b"x"))]
    ),
    st.data(),
)
def test_damage_is_a_refusal_or_passed_over(data: bytes, draw: st.DataObject) -> None:
    damaged = bytearray(data)
    for _ in range(draw.draw(st.integers(1, 4))):
        damaged[draw.draw(st.integers(0, len(damaged) - 1))] = draw.draw(st.integers(0, 255))
    cut = draw.draw(st.integers(1, len(damaged)))
    for each in (bytes(damaged), bytes(damaged[:cut])):
        with contextlib.suppress(BadImage):
            look(b64(each))


@pytest.mark.parametrize(
    ("image", "words"),
    [
        ("nothing", "not base64"),
        ("AAA", "not base64"),
        ("AAAA=AAA", "not base64"),
        ("äöü=", "not base64"),
        ("data:image/png,abc", "data: URL that is not base64"),
        ("data:" + "x" * 10_000, "data: URL that is not base64"),
        ("data:image/png;base64,", "not a picture"),
        ("", "not a picture"),
        (b64(b"hello, this is text"), "not a picture"),
        (b64(b"<svg xmlns='http://www.w3.org/2000/svg'/>"), "not a picture"),
        (b64(b"%PDF-1.4"), "not a picture"),
        (f"data:image/png;base64,{b64(picture('JPEG'))}", "says that it is PNG, but it is a JPEG"),
        (f"data:text/plain;base64,{b64(picture())}", "says that it is text/plain"),
        (b64(picture()[:-20]), "the PNG ends too early"),
        (b64(picture("JPEG")[:-2]), "the JPEG ends too early"),
        (b64(picture("GIF")[:-5]), "the GIF ends too early"),
        (b64(picture("WEBP")[:-9]), "the WebP ends too early"),
        (b64(b"\x89PNG\r\n\x1a\n" + b"x" * 100), "the PNG ends too early"),
        (b64(b"\xff\xd8\xff" + b"x" * 100), "the JPEG ends too early"),
        (b64(b"GIF89a" + b"\0" * 100), "the GIF ends too early"),
        (b64(b"RIFF\x10\0\0\0WEBPVP8 " + b"\0" * 20), "the WebP"),
        (b64(bare_png(0, 10)), "0 x 10 pixels"),
        (b64(bare_png(30_000, 30_000)), "too large: 30000 x 30000 pixels (at most 100 million)"),
        (b64(gif(10_000)), f"too many frames (at most {MAX_FRAMES})"),
        (b64(bare_png(9, 9, chunk(b"acTL", struct.pack(">II", 99_999, 0)))), "too many frames"),
        ("A" * (15 << 20), "too large: at most 10 MiB"),
    ],
)
def test_refusals(image: str, words: str) -> None:
    with pytest.raises(BadImage) as caught:
        look(image)
    assert words in caught.value.message


def test_data_urls_may_leave_the_type_out_or_call_it_by_another_name() -> None:
    assert look(f"data:;base64,{b64(picture())}").mime_type == "image/png"
    assert look(f"DATA:image/jpg;BASE64,{b64(picture('JPEG'))}").mime_type == "image/jpeg"


# --- bombs ---------------------------------------------------------------------------------------------------------

_LONG = zlib.compress(b"bomb " * 40_000_000, 9)
"""200 MB in 200 kB."""


_ELEMENTS = zlib.compress(b"<a>" + b"<b/>" * 16_000 + b"</a>", 9)
_NESTED = b'<x xmlns:d="http://purl.org/dc/elements/1.1/">' + b"<d:title>" * 12_000 + b"</d:title>" * 12_000 + b"</x>"


def _crowded_exif(size_bytes: int, tag: int, kind: int, fill: bytes) -> bytes:
    """A TIFF structure of two full folders whose entries are all the same long text."""
    inner, start = 8 + 6 + 12 * 500, 8 + 2 * (6 + 12 * 500)
    text = (fill * size_bytes)[: size_bytes - start]
    entry = struct.pack("<HHII", tag, kind, len(text), start)
    folder = struct.pack("<H", 500) + entry * 499
    outer = b"II*\0\x08\0\0\0" + folder + struct.pack("<HHII", 0x8769, 4, 1, inner) + b"\0\0\0\0"
    return outer + folder + entry + b"\0\0\0\0" + text


@pytest.mark.parametrize(
    "data",
    [
        bare_png(9, 9, *[chunk(b"eXIf", _crowded_exif(270_000, 0x9C9C, 1, b"\0\xd8"))] * 36),
        bare_png(9, 9, *[chunk(b"eXIf", _crowded_exif(270_000, 0x010E, 2, b"\xff"))] * 36),
        bare_png(9, 9, *[chunk(b"eXIf", _crowded_exif(12_500, 0x9286, 7, b"JIS\0\0\0\0\0\x1b$B!"))] * 780),
        bare_png(9, 9, *[chunk(b"zTXt", b"Comment\0\0" + zlib.compress(b"*" * 70_000, 9))] * 19_000),
        bare_png(9, 9, *[chunk(b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + _NESTED)] * 40),
        bare_png(9, 9, *[chunk(b"iTXt", b"XML:com.adobe.xmp\0\1\0\0\0" + _ELEMENTS)] * 19_000),
        bare_png(9, 9, chunk(b"zTXt", b"Description\0\0" + _LONG)),
        bare_png(9, 9, *[chunk(b"zTXt", b"Description\0\0" + _LONG)] * 20),
        bare_png(9, 9, chunk(b"iTXt", b"Description\0\1\0\0\0" + _LONG)),
        bare_png(9, 9, chunk(b"iCCP", b"profile\0\0" + _LONG)),
        bare_png(9, 9, *[chunk(b"tEXt", b"Comment\0x")] * 100_000),
        bare_png(9, 9, chunk(b"tEXt", b"Description\0" + b"[" * 5_000_000)),
        bare_png(9, 9, chunk(b"tEXt", b"Description\0" + b"image-" * 500_000)),
        jpeg_with_xmp('<!DOCTYPE x [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;&a;">]><x>&b;</x>'),
        jpeg_with_xmp("<a>" * 15_000),
        picture("JPEG")[:2] + b"\xff\xfe\x00\x02" * 100_000 + picture("JPEG")[2:],
        gif(900, b"x" * 255) * 100,
        b"GIF89a\1\0\1\0\0\0\0" + b"\x21\xfe\1x\0" * 1_000_000,
        b"GIF89a\1\0\1\0\0\0\0\x21\xfe" + b"\xff" * 8_000_000,
    ],
    ids=range(19),
)
def test_bombs_cost_nothing(data: bytes) -> None:
    image = b64(data)
    before_kb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    start = time.process_time()
    try:
        words = look(image).words
    except BadImage:
        words = ""
    assert time.process_time() - start < 1.0
    assert len(words) <= 400
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before_kb < 100_000


def test_entities_are_not_expanded() -> None:
    packet = XMP.replace("<?xpacket", '<!DOCTYPE x [<!ENTITY a SYSTEM "file:///etc/passwd">]><?xpacket', 1)
    assert look(b64(jpeg_with_xmp(packet))).words == ""
