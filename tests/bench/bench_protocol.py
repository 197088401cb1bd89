"""How fast a 10 MB snippet gets on the wire and off it, against the standard library's json and base64.

Run it: ``python tests/bench/bench_protocol.py``. Both ways are timed in the same run, in turn and in changing
order, so that a busy machine hurts both; what counts are the medians and the median of the pairs' ratios.
Exits with 1 when a goal is missed.
"""

from __future__ import annotations

import argparse
import base64
import gc
import json
import os
import platform
import statistics
import sys
import time
from collections.abc import Callable

import msgspec

from cutaway import protocol

URL, TITLE, DESCRIPTION = "https://example.com/talk.mp4", "Why the index comes first", "On the board."
GOALS = {"encode": 5.0, "decode": 3.0}
"""At least this many times as fast as the baseline."""


def snippet(video: bytes) -> protocol.Snippet:
    """What a worker hands over."""
    metadata = protocol.SnippetMetadata(src_video_url=URL, title=TITLE, description=DESCRIPTION)
    return protocol.Snippet(data=protocol.SnippetData(video_data=video, metadata=metadata))


def baseline_encode(video: bytes) -> bytes:
    """The same frame by json and base64."""
    metadata = {"src_video_url": URL, "title": TITLE, "description": DESCRIPTION}
    data = {"video_data": base64.b64encode(video).decode(), "metadata": metadata}
    return json.dumps({"type": "snippet", "data": data}).encode()


def baseline_decode(frame: bytes) -> bytes:
    """The video out of a frame by json and base64."""
    return base64.b64decode(json.loads(frame)["data"]["video_data"])


def our_decode(frame: bytes) -> bytes:
    """The same by the protocol."""
    message = protocol.decode_video(frame)
    assert isinstance(message, protocol.Snippet)
    return message.data.video_data


def seconds(call: Callable[[bytes], bytes], argument: bytes) -> float:
    """The time of one call. Freeing its result is part of it: who sends a message also lets it go."""
    start = time.perf_counter()
    call(argument)
    return time.perf_counter() - start


def pairs(
    ours: Callable[[bytes], bytes], theirs: Callable[[bytes], bytes], argument: bytes, count: int
) -> list[tuple[float, float]]:
    """Times of both, side by side; who goes first changes with every pair."""
    seconds(ours, argument)
    seconds(theirs, argument)
    times = []
    for number in range(count):
        if number % 2:
            later = seconds(theirs, argument)
            times.append((seconds(ours, argument), later))
        else:
            first = seconds(ours, argument)
            times.append((first, seconds(theirs, argument)))
    return times


def main() -> int:
    """Time both directions, print the table, say whether the goals are met."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=25, help="pairs per direction (default 25, at least 15)")
    parser.add_argument("--megabytes", type=float, default=10, help="size of the video (default 10)")
    options = parser.parse_args()
    if options.pairs < 15:
        parser.error("fewer than 15 pairs say little")

    # Random bytes: nothing in a compressed video is cheaper to encode than this.
    video = os.urandom(int(options.megabytes * 1e6))
    message, frame = snippet(video), baseline_encode(video)
    assert json.loads(protocol.encode_video(message)) == json.loads(frame), "both write the same message"
    assert our_decode(frame) == baseline_decode(frame) == video

    gc.disable()  # a collection in the middle of one of two calls would be noise
    timed = {
        "encode": pairs(lambda _: protocol.encode_video(message), baseline_encode, video, options.pairs),
        "decode": pairs(our_decode, baseline_decode, frame, options.pairs),
    }

    print(
        f"{len(video) / 1e6:g} MB video, {len(frame) / 1e6:.1f} MB frame, "
        f"median of {options.pairs} alternating pairs; "
        f"Python {platform.python_version()}, msgspec {msgspec.__version__}, {os.cpu_count()} cores\n"
    )
    print("direction   cutaway   json+base64   faster    (pairs)        goal")
    missed = False
    for direction, times in timed.items():
        ours, theirs = (statistics.median(column) * 1e3 for column in zip(*times, strict=True))
        ratios = sorted(later / first for first, later in times)
        ratio, goal = statistics.median(ratios), GOALS[direction]
        verdict = "met" if ratio >= goal else "MISSED"
        missed |= ratio < goal
        print(
            f"{direction:9} {ours:6.1f} ms   {theirs:8.1f} ms   {ratio:5.2f}x   "
            f"{ratios[0]:5.2f}..{ratios[-1]:<5.2f}   >= {goal:g}x  {verdict}"
        )
    return int(missed)


if __name__ == "__main__":
    sys.exit(main())
