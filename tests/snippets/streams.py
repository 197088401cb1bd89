"""The numbered film as HLS and DASH, by name: each a folder with a playlist. Made by ffmpeg when first asked for; what
its muxers do not make is put together from what they do."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import av

from cutaway_server.snippets.boxes import walk
from servers import Origin, Resource
from snippets import film
from snippets.film import AAC, X264, ffmpeg
from snippets.films import COPY, SENTENCES, Films

Make = Callable[[Films, Path], str]
_RECIPES: dict[str, Make] = {}
KEY = bytes(range(16))
HLS = ("-f", "hls", "-hls_playlist_type", "vod")
FMP4 = ("-hls_segment_type", "fmp4")
SMALL = ("-vf", "scale=160:90", *X264, "-force_key_frames", "expr:gte(t,n_forced*2)", "-b:v", "80k")
LATER = ("-output_ts_offset", "10")
"""Timestamps far from 0, which would be moved by as much as the first packet is decoded before 0."""
WRAPS_AT = 50.0
"""Where the timestamps of a stream begin again at 0, in seconds; its first one is 1.48 s after what it is told."""
JOINT = 12.0
"""Where the two parts of the broken streams meet, in seconds."""


class Streams:
    """Makes streams when they are asked for, and serves them.

    Parameters
    ----------
    films
        What they are made from.
    folder
        Where to; an empty folder that somebody else removes.
    """

    def __init__(self, films: Films, folder: Path) -> None:
        self.films = films
        self.folder = folder
        self._made: dict[str, str] = {}

    def __getitem__(self, name: str) -> Path:
        """The path of a stream's playlist."""
        folder = self.folder / name
        if name not in self._made:
            folder.mkdir()
            self._made[name] = _RECIPES[name](self.films, folder)
        return folder / self._made[name]

    def serve(self, origin: Origin, name: str, **how: object) -> str:
        """Serve all of a stream's files and return its playlist's URL."""
        playlist = self[name]
        for path in playlist.parent.iterdir():
            origin.serve(f"{name}/{path.name}", Resource(path, **how))  # type: ignore[arg-type]
        return origin.url(f"{name}/{playlist.name}")


def _recipe(name: str) -> Callable[[Make], Make]:
    def keep(make: Make) -> Make:
        _RECIPES[name] = make
        return make

    return keep


def hls(
    source: Path, folder: Path, name: str, *arguments: str | Path, seconds: float = 4, kind: tuple[str, ...] = COPY
) -> str:
    """A media playlist and its segments."""
    last = "m4s" if "fmp4" in arguments else "ts"
    own = ("-hls_time", str(seconds), "-hls_segment_filename", folder / f"{name}-%03d.{last}")
    init = ("-hls_fmp4_init_filename", f"{name}-init.mp4") if last == "m4s" else ()
    ffmpeg("-i", source, *kind, *HLS, *own, *init, *arguments, folder / f"{name}.m3u8")
    return f"{name}.m3u8"


def _hls(name: str, *arguments: str, source: str = "film.mp4") -> None:
    _RECIPES[name] = lambda films, folder: hls(films[source], folder, "film", *arguments)


_hls("hls_ts")
_hls("hls_fmp4", *FMP4)
_hls("hls_ts_ranges", "-hls_flags", "single_file")
_hls("hls_fmp4_ranges", *FMP4, "-hls_flags", "single_file")
_hls("hls_open_gop", "-bsf:v", "h264_mp4toannexb,dump_extra", source="open_gop.mp4")
_hls("hls_wraps", "-output_ts_offset", str(2**33 / 90_000 - WRAPS_AT - 1.48))
_hls("hls_silent", source="silent.mp4")
_RECIPES["hls_hevc"] = lambda films, folder: hls(films["hevc.mp4"], folder, "film", *FMP4)


@_recipe("hls_aes")
def _(films: Films, folder: Path) -> str:
    """Every segment is encrypted with its sequence number; the first one is 7."""
    (folder / "film.key").write_bytes(KEY)
    (folder / "info").write_text(f"film.key\n{folder / 'film.key'}\n")
    return hls(films["film.mp4"], folder, "film", "-hls_key_info_file", folder / "info", "-start_number", "7")


@_recipe("hls_aes_vector")
def _(films: Films, folder: Path) -> str:
    (folder / "film.key").write_bytes(KEY)
    (folder / "info").write_text(f"film.key\n{folder / 'film.key'}\n000102030405060708090a0b0c0d0e0f\n")
    return hls(films["film.mp4"], folder, "film", "-hls_key_info_file", folder / "info")


@_recipe("hls_separate")
def _(films: Films, folder: Path) -> str:
    """Sound in segments of 3 s beside pictures in segments of 4 s, in MPEG-TS; pictures in two sizes."""
    return _separate(films, folder)


@_recipe("hls_separate_fmp4")
def _(films: Films, folder: Path) -> str:
    return _separate(films, folder, *FMP4)


def _separate(films: Films, folder: Path, *kind: str) -> str:
    hls(films["film.mp4"], folder, "large", "-map", "0:v", *LATER, *kind)
    hls(films["film.mp4"], folder, "small", "-map", "0:v", *LATER, *kind, kind=SMALL)
    hls(films["film.mp4"], folder, "sound", "-map", "0:a", *LATER, *kind, seconds=3)
    return master(folder, sound=True)


def master(folder: Path, *, sound: bool, text: bool = False) -> str:
    """A master playlist of ``small`` and ``large``."""
    lines = ["#EXTM3U", "#EXT-X-VERSION:7"]
    groups = ""
    if sound:
        groups += ',AUDIO="sound"'
        lines.append('#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID="sound",NAME="main",DEFAULT=YES,URI="sound.m3u8"')
    if text:
        groups += ',SUBTITLES="text"'
        lines.append(
            '#EXT-X-MEDIA:TYPE=SUBTITLES,GROUP-ID="text",NAME="English",LANGUAGE="en",DEFAULT=YES,URI="text.m3u8"'
        )
    codecs = 'CODECS="avc1.64000d,mp4a.40.2"'
    for name, size, bandwidth in (("small", "160x90", 100_000), ("large", "320x180", 400_000)):
        lines += [f"#EXT-X-STREAM-INF:BANDWIDTH={bandwidth},RESOLUTION={size},{codecs}{groups}", f"{name}.m3u8"]
    (folder / "master.m3u8").write_text("\n".join([*lines, ""]))
    return "master.m3u8"


@_recipe("hls_renditions")
def _(films: Films, folder: Path) -> str:
    """Two sizes, sound in the pictures' segments."""
    hls(films["film.mp4"], folder, "large")
    hls(films["film.mp4"], folder, "small", kind=(*SMALL, *AAC))
    return master(folder, sound=False)


@_recipe("hls_packed")
def _(films: Films, folder: Path) -> str:
    """The sound as bare AAC whose time is in an ID3 tag."""
    hls(films["film.mp4"], folder, "large", "-map", "0:v", *LATER)
    hls(films["film.mp4"], folder, "small", "-map", "0:v", *LATER, kind=SMALL)
    hls(films["film.mp4"], folder, "sound", "-map", "0:a", *LATER, seconds=3)
    for path in sorted(folder.glob("sound-*.ts")):
        with av.open(str(path)) as segment:
            stamp = segment.streams.audio[0].start_time or 0
        owner = b"com.apple.streaming.transportStreamTimestamp\0" + stamp.to_bytes(8, "big")
        frame = b"PRIV" + len(owner).to_bytes(4, "big") + b"\0\0" + owner
        bare = path.with_suffix(".adts")
        ffmpeg("-i", path, *COPY, "-f", "adts", bare)
        path.write_bytes(b"ID3\x04\0\0" + bytes([0, 0, 0, len(frame)]) + frame + bare.read_bytes())
        bare.unlink()
    return master(folder, sound=True)


@_recipe("hls_discontinuity")
def _(films: Films, folder: Path) -> str:
    """Two parts that were encoded apart: timestamps begin again, and are odd."""
    return broken(films, folder)


@_recipe("hls_discontinuity_fmp4")
def _(films: Films, folder: Path) -> str:
    return broken(films, folder, *FMP4)


def broken(films: Films, folder: Path, *kind: str) -> str:
    _parts(films, folder)
    lines = []
    for part in ("one", "two"):
        offset = ("-output_ts_offset", "1234.5") if part == "two" else ()
        hls(folder / f"{part}.mp4", folder, part, *kind, *offset)
        text = (folder / f"{part}.m3u8").read_text()
        lines.append(text.partition("#EXT-X-MEDIA-SEQUENCE:0\n")[2].partition("#EXT-X-ENDLIST")[0])
    head = "#EXTM3U\n#EXT-X-VERSION:7\n#EXT-X-TARGETDURATION:6\n#EXT-X-PLAYLIST-TYPE:VOD\n"
    (folder / "film.m3u8").write_text(f"{head}{lines[0]}#EXT-X-DISCONTINUITY\n{lines[1]}#EXT-X-ENDLIST\n")
    return "film.m3u8"


def _parts(films: Films, folder: Path) -> None:
    for part, where in (("one", ("-t", str(JOINT))), ("two", ("-ss", str(JOINT)))):
        ffmpeg(*where, "-i", films.master, *X264, *AAC, folder / f"{part}.mp4")


@_recipe("hls_said")
def _(films: Films, folder: Path) -> str:
    """Captions in WebVTT segments of 6 s, counted from an hour before the timestamps begin."""
    hls(films["film.mp4"], folder, "large")
    hls(films["film.mp4"], folder, "small", kind=(*SMALL, *AAC))
    with av.open(str(folder / "large-000.ts")) as first:
        began = first.streams.video[0].start_time or 0
    lines = ["#EXTM3U", "#EXT-X-TARGETDURATION:6", "#EXT-X-PLAYLIST-TYPE:VOD"]
    for n in range(10):
        cues = [
            f"{_clock(a + 3600)} --> {_clock(b + 3600)}\n{text}\n"
            for a, b, text in SENTENCES
            if a < 6 * n + 6 and b > 6 * n
        ]
        head = f"WEBVTT\nX-TIMESTAMP-MAP=MPEGTS:{began},LOCAL:01:00:00.000\n"
        (folder / f"text-{n}.vtt").write_text("\n".join([head, *cues]))
        lines += ["#EXTINF:6.0,", f"text-{n}.vtt"]
    (folder / "text.m3u8").write_text("\n".join([*lines, "#EXT-X-ENDLIST", ""]))
    return master(folder, sound=False, text=True)


def _clock(seconds: float) -> str:
    return f"{int(seconds // 3600):02d}:{int(seconds // 60 % 60):02d}:{seconds % 60:06.3f}"


# --- DASH ----------------------------------------------------------------------------------------------------


def dash(source: Path, folder: Path, *arguments: str) -> str:
    """A manifest with its segments; pictures and sound apart."""
    ffmpeg("-i", source, *COPY, "-f", "dash", "-seg_duration", "4", *arguments, folder / "film.mpd")
    return "film.mpd"


def _dash(name: str, *arguments: str, source: str = "film.mp4") -> None:
    _RECIPES[name] = lambda films, folder: dash(films[source], folder, *arguments)


_dash("dash_timeline", "-use_template", "1", "-use_timeline", "1")
_dash("dash_number", "-use_template", "1", "-use_timeline", "0", source="steady.mp4")
_dash("dash_list", "-use_template", "0", "-use_timeline", "0", source="steady.mp4")
_dash("dash_list_ranges", "-single_file", "1", "-use_template", "0", source="steady.mp4")


@_recipe("dash_time")
def _(films: Films, folder: Path) -> str:
    """Segments named by their times, a timeline that repeats until the end, and base URLs at every level."""
    ffmpeg(
        *("-i", films["steady.mp4"], *COPY, "-f", "dash", "-seg_duration", "4", "-use_timeline", "1"),
        *("-media_seg_name", "$RepresentationID$-$Time%09d$.m4s", "-init_seg_name", "$RepresentationID$.mp4"),
        folder / "film.mpd",
    )
    (folder / "1--00001024.m4s").rename(folder / "1-000000000.m4s")  # Its manifest says that it begins at 0.
    manifest = folder / "film.mpd"
    text = re.sub(r'(<S [^>]*d="\d+") r="\d+" />', r'\1 r="-1" />', manifest.read_text())
    assert 'r="-1"' in text
    text = text.replace("<Period ", "<BaseURL>../dash_time/</BaseURL><Period ", 1)
    text = re.sub(r"(<AdaptationSet [^>]*>)", r"\1<BaseURL>./nowhere/</BaseURL>", text)
    text = re.sub(r"(<Representation [^>]*>)", r"\1<BaseURL>../</BaseURL>", text)
    manifest.write_text(text)
    return "film.mpd"


@_recipe("dash_sidx")
def _(films: Films, folder: Path) -> str:
    """One file for the pictures and one for the sound, each with an index of its own. What begins before 0 in the film
    (the decoding of pictures, the priming of sound) begins at 0 in these files: the manifest tells by how much."""
    sets = []
    for kind, stream, scale, more in (
        ("video", "0:v", 12_800, 'codecs="avc1.64000d" width="320" height="180"'),
        ("audio", "0:a", film.SOUND_RATE, 'codecs="mp4a.40.2"'),
    ):
        path = folder / f"{kind}.mp4"
        flags = "+frag_keyframe+empty_moov+default_base_moof+global_sidx"
        ffmpeg("-i", films["film.mp4"], "-map", stream, *COPY, "-movflags", flags, path)
        data = path.read_bytes()
        box = next(b for b in walk(lambda at, n, data=data: data[at : at + n]) if b.kind == "sidx")
        assert box.size
        sets.append(
            f'<AdaptationSet contentType="{kind}" mimeType="{kind}/mp4" {more}><Representation id="{kind}" '
            f'bandwidth="300000"><BaseURL>{kind}.mp4</BaseURL><SegmentBase timescale="{scale}" '
            f'presentationTimeOffset="1024" indexRange="{box.position}-{box.position + box.size - 1}">'
            f'<Initialization range="0-{box.position - 1}"/></SegmentBase></Representation></AdaptationSet>'
        )
    return _manifest(folder, f"<Period>{''.join(sets)}</Period>")


def _manifest(folder: Path, periods: str) -> str:
    (folder / "film.mpd").write_text(
        '<?xml version="1.0" encoding="utf-8"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011" type="static" '
        f'mediaPresentationDuration="PT60S" profiles="urn:mpeg:dash:profile:full:2011">{periods}</MPD>'
    )
    return "film.mpd"


@_recipe("dash_periods")
def _(films: Films, folder: Path) -> str:
    """Two periods that were encoded apart; the second's media begin at 100 s, and its manifest says so."""
    _parts(films, folder)
    periods = []
    for part, start in (("one", 0.0), ("two", JOINT)):
        offset = 100 if part == "two" else 0
        ffmpeg(
            *("-i", folder / f"{part}.mp4", *COPY, "-output_ts_offset", str(offset), "-f", "dash"),
            *("-seg_duration", "4", "-media_seg_name", f"{part}-$RepresentationID$-$Number$.m4s"),
            *("-init_seg_name", f"{part}-$RepresentationID$.mp4", folder / f"{part}.mpd"),
        )
        text = (folder / f"{part}.mpd").read_text()
        body = re.search(r"<Period [^>]*>(.*)</Period>", text, re.DOTALL)
        assert body

        def moved(match: re.Match[str], offset: int = offset) -> str:
            ticks = offset * int(match[1])
            return f'<SegmentTemplate presentationTimeOffset="{ticks}" timescale="{match[1]}"'

        inner = re.sub(r'<SegmentTemplate timescale="(\d+)"', moved, body[1])
        periods.append(f'<Period start="PT{start}S">{inner}</Period>')
    return _manifest(folder, "".join(periods))
