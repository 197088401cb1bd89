"""A sample video, made on the spot: three minutes of mathematics that moves, with sounds, captions and a title.

What comes in is a path; what goes out is an MP4 (H.264, AAC, mov_text captions, 640x360) whose shots are as different
as a film's, among them a black silence and a silent test card in which nothing happens. It is for trying Cutaway
without a network and without anybody's film: ``python -m cutaway_server.sample PATH``. ffmpeg draws and plays
everything itself; there are no fonts and no files in it.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import imageio_ffmpeg  # type: ignore[import-untyped]

_TITLE = "Simple Rules: a short film about patterns"
_RATE = 25
_STEP_SECONDS = 120.0
"""For one shot, which takes about a second."""


@dataclass(frozen=True)
class _Shot:
    seconds: int
    picture: str
    """An ffmpeg graph; it is scaled to the frame afterwards, so small sources may be drawn small."""
    sound: str = "0"
    """An expression of t, the seconds since the shot began; or ``noise``."""
    cues: tuple[str, ...] = ()
    """Captions; a sentence may go on in the next one."""


def _tones(*hertz: float, swell: float = 0.5) -> str:
    """A chord that swells and fades ``swell`` times a second."""
    volume = 0.5 / len(hertz)
    tones = "+".join(f"sin({each}*2*PI*t)" for each in hertz)
    return f"{volume:.3f}*(0.6+0.4*sin({swell}*2*PI*t))*({tones})"


def _melody(*hertz: float, beat: float = 0.3) -> str:
    """Plucked notes, one after the other, again and again."""
    position = f"mod(floor(t/{beat})\\,{len(hertz)})"
    note = "+".join(f"{each}*eq({position}\\,{i})" for i, each in enumerate(hertz))
    return f"0.5*exp(-5*mod(t\\,{beat}))*sin(({note})*2*PI*t)"


_SHOTS = (
    _Shot(
        11,
        "gradients=s=320x180:n=4:c0=0x2193b0:c1=0x1b1b3a:c2=0xff5f6d:c3=0xffc371:x0=40:y0=30:x1=280:y1=150:speed=0.015",
        _tones(220, 277.2, 329.6, swell=0.2),
        (
            "Every picture in this film is drawn by a rule that fits on one line.",
            "Nobody painted these colours. A gradient needs four of them,",
            "and the mathematics fills in the rest.",
        ),
    ),
    _Shot(
        17,
        "mandelbrot=s=400x226:start_scale=2.6:end_scale=0.0022:end_pts=425:maxiter=1200"
        ":start_x=-0.743643887:start_y=-0.131825904:inner=black",
        "0.25*sin((110+20*t)*2*PI*t)+0.12*sin((220+40*t)*2*PI*t)",
        (
            "This is the Mandelbrot set, the most famous of all fractals.",
            "Take a number, square it, add a constant, and do it again.",
            "Zoom in, and the border never becomes smooth:",
            "at every scale there are new spirals, and little copies of the whole.",
            "That is what a fractal is. It looks alike at every size.",
        ),
    ),
    _Shot(7, "color=s=640x360:c=black"),
    _Shot(
        16,
        "life=s=128x72:mold=12:ratio=0.22:seed=3:life_color=0x7df9ff:death_color=0x5a189a:mold_color=0x10002b"
        ",scale=640:360:flags=neighbor",
        _melody(523.3, 659.3, 784, 1046.5, 784, 659.3),
        (
            "Here is the Game of Life, invented by John Conway in 1970.",
            "A cell is born with three neighbours, lives on with two or three,",
            "and dies of loneliness or of the crowd with any other number.",
            "From these two rules come gliders, oscillators, even computers.",
        ),
    ),
    _Shot(
        13,
        "cellauto=s=320x180:rule=110:scroll=1:ratio=0.5:seed=11:full=1,format=rgb24"
        ",lutrgb=r='if(val\\,18\\,255)':g='if(val\\,30\\,183)':b='if(val\\,49\\,3)',scale=640:360:flags=neighbor",
        _melody(98, 98, 147, 98, 116.5, beat=0.2),
        (
            "Cellular automata can be simpler still: one row of cells, and each",
            "looks only at itself and at its two neighbours.",
            "Rule 110 draws triangles that nobody has ever predicted.",
        ),
    ),
    _Shot(
        18,
        "nullsrc=s=96x54,geq=r='128+127*sin(X/9+1.3*T)*sin(Y/13-T)':g='128+127*sin(Y/7-T+2*sin(X/17))'"
        ":b='160+95*sin((X+Y)/11+0.7*T)',scale=640:360:flags=bicubic",
        "0.2*sin(261.6*2*PI*t+6*sin(0.8*t))+0.2*sin(392*2*PI*t+5*sin(0.5*t))+0.15*sin(130.8*2*PI*t)",
        (
            "Colour is made of waves. Add three sine waves, one for red,",
            "one for green and one for blue, and you get plasma.",
            "Demo programmers of the eighties loved it, because it is cheap and never repeats.",
            "Our eyes mix the three colours into millions of hues.",
        ),
    ),
    _Shot(
        12,
        "sierpinski=s=640x360:type=triangle:seed=5:jump=60,format=rgb24"
        ",lutrgb=r='if(val\\,249\\,0)':g='if(val\\,65\\,78)':b='if(val\\,68\\,100)'",
        "noise",
        (
            "Throw dice, walk half way to a corner of a triangle, and leave a dot.",
            "Chance draws the Sierpinski triangle, always the same one.",
            "Its area is zero and its border is endless.",
        ),
    ),
    _Shot(9, "smptehdbars=s=640x360"),
    _Shot(
        15,
        f"aevalsrc='0.9*sin(3*60*PI*t+0.4*t)|0.9*sin(2*60*PI*t)':s=44100:d=15,avectorscope=s=640x360:r={_RATE}"
        ":draw=line:mode=lissajous_xy:rc=40:gc=220:bc=160:rf=12:gf=6:bf=9:zoom=1",
        _tones(90, 135, 180, swell=2),
        (
            "You can see sound. Two tones, one for each axis, draw a Lissajous figure.",
            "A fifth, three to two, makes this knot; it turns when one of the tones is out of tune.",
            "Musicians hear the same thing as a slow beat.",
        ),
    ),
    _Shot(
        14,
        "perlin=s=96x54:octaves=4:tscale=0.3:xscale=1.5:yscale=2.5:random_mode=seed:random_seed=4"
        ",eq=contrast=2.2:brightness=0.1,format=yuv444p,pseudocolor=p=blues,scale=640:360:flags=bicubic",
        "0.5*noise",
        (
            "Clouds are noise with a memory. Ken Perlin found the recipe in 1983",
            "for a film called Tron, and later won an Academy Award for it.",
            "Mountains, marble and fire in games are made the same way.",
        ),
    ),
    _Shot(
        10,
        "zoneplate=s=480x270:ku=120:kt2=1:kx2=80:ky2=80:precision=10,format=yuv420p,hue=h=40*t",
        "0.35*sin((200+160*t)*2*PI*t)",
        (
            "A zone plate has every frequency at once, from the slow middle to the fast edge.",
            "When a screen cannot follow, false circles appear. That is aliasing.",
        ),
    ),
    _Shot(
        14,
        "testsrc2=s=640x360,format=yuv420p,rotate=a=0.25*t:c=0x0b132b:bilinear=0",
        _melody(440, 493.9, 554.4, 659.3, 739.9, beat=0.25),
        (
            "Engineers test a picture with patterns, too.",
            "Moving bars show a stutter, fine lines show a lost pixel,",
            "and a turning card shows how well a video codec copes with motion.",
            "Compression keeps what moved and forgets what stayed.",
        ),
    ),
    _Shot(
        13,
        "gradients=s=320x180:type=spiral:n=3:c0=0x03071e:c1=0xd00000:c2=0xffba08:x0=160:y0=90:x1=300:y1=120:speed=0.05",
        _tones(146.8, 220, 293.7, 440, swell=1),
        (
            "A spiral grows by the same factor with every turn.",
            "Shells, storms and galaxies found that out long before us.",
        ),
    ),
    _Shot(
        11,
        "mandelbrot=s=320x180:start_scale=0.004:end_scale=3:end_pts=275:maxiter=300:start_x=-0.1011:start_y=0.9563"
        ",hue=h=150",
        _tones(130.8, 164.8, 196, 261.6, swell=0.15),
        (
            "So simple rules are not simple at all.",
            "Step back far enough, and all of them are one picture. Thank you for watching.",
        ),
    ),
)


def make_sample(path: Path) -> None:
    """Make the sample video; the file is complete or not there at all.

    Parameters
    ----------
    path : Path
        Where to; what is there is replaced.

    Raises
    ------
    OSError
        The directory is missing or not writable.
    RuntimeError
        ffmpeg failed; the message has its last words.
    """
    ffmpeg = imageio_ffmpeg.get_ffmpeg_exe()
    with tempfile.TemporaryDirectory(prefix=".cutaway-sample-", dir=path.parent) as name:
        folder = Path(name)
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            # A shot at a time on each core: so every shot begins with a keyframe, too.
            steps = [_play(folder), *(_draw(folder, shot) for shot in _SHOTS)]
            try:
                list(pool.map(lambda arguments: _run(ffmpeg, arguments), steps))
            except BaseException:
                pool.shutdown(cancel_futures=True)
                raise
        (folder / "shots.txt").write_text("".join(f"file {_file(folder, shot).name}\n" for shot in _SHOTS))
        (folder / "captions.srt").write_text(_captions(), encoding="utf-8")
        _run(ffmpeg, _join(folder))
        (folder / "sample.mp4").replace(path)


def _run(ffmpeg: str, arguments: list[str]) -> None:
    done = subprocess.run(  # noqa: S603 (our own arguments, no shell)
        [ffmpeg, "-v", "error", "-nostdin", "-y", *arguments],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        errors="replace",
        timeout=_STEP_SECONDS,
        check=False,
    )
    if done.returncode:
        raise RuntimeError(f"ffmpeg cannot make the sample video: {done.stderr[-500:].strip()}")


def _file(folder: Path, shot: _Shot) -> Path:
    return folder / f"shot-{_SHOTS.index(shot):02}.mp4"


def _draw(folder: Path, shot: _Shot) -> list[str]:
    """Encode the pictures of one shot."""
    # The same colours in all shots: a player may start its filters anew where they change.
    colours = "range=tv:colorspace=bt709:color_primaries=bt709:color_trc=bt709"
    scale = "scale=640:360:flags=bicubic:out_range=tv:out_color_matrix=bt709"
    graph = f"{shot.picture},fps={_RATE},{scale},setsar=1,format=yuv420p,setparams={colours}[v]"
    return [
        *("-filter_complex", graph, "-map", "[v]", "-t", str(shot.seconds)),
        *("-c:v", "libx264", "-preset", "superfast", "-crf", "29", "-g", str(10 * _RATE), "-threads", "1"),
        *("-video_track_timescale", "12800", str(_file(folder, shot))),
    ]


def _play(folder: Path) -> list[str]:
    """Encode the sounds of all shots."""
    graph = [_sound(number, shot) for number, shot in enumerate(_SHOTS)]
    graph.append("".join(f"[a{number}]" for number in range(len(_SHOTS))) + f"concat=n={len(_SHOTS)}:v=0:a=1[a]")
    return [
        *("-filter_complex", ";".join(graph), "-map", "[a]"),
        *("-c:a", "aac", "-aac_coder", "fast", "-b:a", "96k", str(folder / "sound.m4a")),
    ]


def _join(folder: Path) -> list[str]:
    """Copy the shots behind each other and the sound beside them; add captions and title."""
    return [
        *("-f", "concat", "-i", str(folder / "shots.txt")),
        *("-i", str(folder / "sound.m4a"), "-i", str(folder / "captions.srt")),
        *("-map", "0:v", "-map", "1:a", "-map", "2:s", "-c", "copy", "-c:s", "mov_text"),
        *("-metadata", f"title={_TITLE}", "-metadata:s:a:0", "language=eng", "-metadata:s:s:0", "language=eng"),
        *("-movflags", "+faststart", str(folder / "sample.mp4")),
    ]


def _sound(number: int, shot: _Shot) -> str:
    source = f"aevalsrc='{shot.sound}':s=44100"
    if "noise" in shot.sound:
        amplitude = 0.25 if shot.sound == "noise" else 0.08
        colour = "pink" if shot.sound == "noise" else "brown"
        source = f"anoisesrc=r=44100:a={amplitude}:c={colour}:seed={number}"
    return (
        f"{source},aformat=sample_fmts=fltp:channel_layouts=stereo,atrim=duration={shot.seconds}"
        f",afade=d=0.05,afade=t=out:d=0.1:st={shot.seconds - 0.1}[a{number}]"
    )


def _captions() -> str:
    """SRT: each shot's cues share its time by their length, and leave half a second at its end."""
    blocks: list[str] = []
    shot_start = 0.0
    for shot in _SHOTS:
        start, pace = shot_start + 0.3, (shot.seconds - 0.8) / max(1, sum(map(len, shot.cues)))
        for cue in shot.cues:
            end = start + len(cue) * pace
            blocks.append(f"{len(blocks) + 1}\n{_srt_time(start)} --> {_srt_time(end)}\n{cue}\n")
            start = end
        shot_start += shot.seconds
    return "\n".join(blocks)


def _srt_time(seconds: float) -> str:
    milliseconds = round(seconds * 1000)
    minutes, rest = divmod(milliseconds, 60_000)
    return f"00:{minutes:02}:{rest // 1000:02},{rest % 1000:03}"


def main() -> None:
    """Make the sample at the path that is the only argument."""
    if len(sys.argv) != 2:
        sys.exit("usage: python -m cutaway_server.sample PATH")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # unwinds, so that no temporary folder stays
    try:
        make_sample(Path(sys.argv[1]))
    except (OSError, RuntimeError, subprocess.TimeoutExpired) as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
