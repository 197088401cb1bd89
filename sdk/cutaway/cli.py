"""The command line, ``cutaway``: snippets, search, serve, demo, articles.

What comes in are arguments; what goes out are files, lines on stdout, live progress, and an exit status: 0
for done, 1 for a failure (one line on stderr), 2 for wrong usage, 130 for Ctrl-C. Whatever happens, no
server, no temporary file and no half snippet stays behind.
"""

from __future__ import annotations

import contextlib
import importlib
import io
import os
import signal
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType
from typing import Any, Literal, NoReturn, TypeVar

import click
import msgspec

from . import __version__, protocol
from .display import Display
from .embedded import embedded
from .errors import CutawayError, InvalidRequest, ServerError, ServerNotInstalled
from .filenames import without_controls
from .request import check_request, check_search, check_wishes
from .results import print_messages, show_answer
from .sample import sample_video
from .snippets import SnippetStream, read_message
from .sync import Client
from .values import Snippet

Command = TypeVar("Command", bound=Callable[..., Any])

_IMAGES = Path("cutaway-images")
_DEMO_TEXT = "space telescopes"
_CONTEXT = {"help_option_names": ["-h", "--help"], "show_default": True}


@click.group(context_settings=_CONTEXT)
@click.version_option(__version__, prog_name="cutaway")
def cli() -> None:
    """The moments that matter: short MP4 snippets out of any video, and search with summary and images."""


def _wishes(command: Command) -> Command:
    """The options that say which snippets."""
    fields = {field.name: field.default for field in msgspec.structs.fields(protocol.SnippetRequest)}
    options = [
        click.option("--max-snippets", type=int, metavar="N", default=fields["max_snippets"], help="At most so many."),
        click.option("--min-seconds", type=float, default=fields["min_seconds"], help="No snippet is shorter."),
        click.option("--max-seconds", type=float, default=fields["max_seconds"], help="No snippet is longer."),
        click.option("--max-height", type=int, metavar="PIXELS", help="Scale down what is higher."),
    ]
    for option in reversed(options):
        command = option(command)
    return command


_server = click.option(
    "--server",
    metavar="URL",
    envvar="CUTAWAY_SERVER",
    show_envvar=True,
    help="A running server (ws://host:port). Without it, one is started for this call.",
)
_json = click.option(
    "--json", "as_json", is_flag=True, help="Print the messages as JSON lines; save nothing without --out."
)


@cli.command()
@click.argument("video", metavar="URL_OR_FILE")
@click.option(
    "-o",
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    metavar="DIR",
    help="Where the files go; made if missing.  [default: the current directory]",
)
@_json
@_wishes
@_server
def snippets(video: str, out: Path | None, as_json: bool, server: str | None, **wishes: Any) -> None:
    """Save the interesting moments of a video as MP4 files.

    URL_OR_FILE is the address of a video file or, without --server, a file on this machine. What is saved is named
    after what happens in it; no file is ever overwritten.
    """
    check_request(video, **wishes)  # before a server is started for nothing
    with Display(lines=not as_json) as display, _client(server, display, search_workers=0) as client:
        stream = client.snippets(video, on_progress=display.progress, **wishes)
        if as_json:
            _print_snippets(stream, out, display)
        else:
            _save_all(stream, out or Path(), display)


@cli.command()
@click.argument("words", metavar="[TEXT]", nargs=-1)
@click.option(
    "-i", "--image", type=click.Path(dir_okay=False, path_type=Path), metavar="FILE", help="An image to look for."
)
@click.option(
    "-s",
    "--source",
    type=click.Choice(["home", "stumber"]),
    default="home",
    help="home: by relevance; stumber: surprises, differently every time.",
)
@click.option(
    "-o",
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    metavar="DIR",
    help=f"Where images go; made if missing.  [default: {_IMAGES}]",
)
@_json
@_server
def search(
    words: tuple[str, ...],
    image: Path | None,
    source: Literal["home", "stumber"],
    out: Path | None,
    as_json: bool,
    server: str | None,
) -> None:
    """Find articles, with a summary and images.

    Without TEXT and --image: the front page, or with --source stumber a lucky dip. A [1] in the summary is the number
    of an article. Images are saved under new names; no file is ever overwritten.
    """
    text = " ".join(words) or None
    check_search(text, image, source)  # before a server is started for nothing
    with Display(lines=not as_json) as display, _client(server, display, workers=1) as client:
        stream = client.search(text, image, source)
        if as_json:
            print_messages(stream, out, display)
        else:
            show_answer(stream, out or _IMAGES, display)


@cli.command()
@click.argument("video", metavar="[URL_OR_FILE]", required=False)
@click.option(
    "-o",
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    metavar="DIR",
    default=Path("cutaway-demo"),
    help="Where the files go; made if missing.",
)
@_wishes
@_server
def demo(video: str | None, out: Path, server: str | None, **wishes: Any) -> None:
    """See both services work: on a sample video or one of yours, then in the sample articles."""
    if video is not None:
        check_request(video, **wishes)
    elif server is None:
        check_wishes(**wishes)
    else:
        raise InvalidRequest(f"the sample is a file, which {server} cannot read: leave out --server, or give a URL")
    with Display() as display, tempfile.TemporaryDirectory(prefix="cutaway-demo-") as articles:
        if video is None:
            display.stage("making a sample video")
            video = str(sample_video(out / "sample.mp4"))
            display.note(f"A sample video of three minutes: {video}")
        # A folder without articles: a server shows the samples then, whatever the user has at home.
        with _client(server, display, data_dir=articles) as client:
            _save_all(client.snippets(video, on_progress=display.progress, **wishes), out, display)
            text = _DEMO_TEXT if server is None else None
            where = f"In the sample articles, cutaway search {text}" if text else f"The front page of {server}"
            display.note(f"\nThe snippets are in {out}{os.sep}.\n\n{where}:\n")
            show_answer(client.search(text), out, display)
        display.note(
            "\nWhat to try next:\n"
            "  cutaway snippets https://...   the moments of a video of yours; see --help\n"
            "  cutaway articles add FEED_URL  articles of your own for cutaway search\n"
            "  cutaway serve                  a server for browsers, notebooks and programs\n"
            "  >>> import cutaway             the same in Python: help(cutaway)"
        )


_HANDED_OVER = {"ignore_unknown_options": True, "allow_interspersed_args": False}


@cli.command(
    add_help_option=False, context_settings=_HANDED_OVER, short_help="Run a server (see `cutaway serve --help`)."
)
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def serve(arguments: tuple[str, ...]) -> None:
    """Run a server; the arguments are its settings."""
    _servers("serve", "a server needs").main(list(arguments))


@cli.command(
    add_help_option=False,
    context_settings=_HANDED_OVER,
    short_help="Fill the store of articles (see `cutaway articles --help`).",
)
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def articles(arguments: tuple[str, ...]) -> int:
    """Fill the store of articles that searches look into."""
    status: int = _servers("search.articles.commands", "the store of articles needs").main(list(arguments))
    return status


def _servers(module: str, needs: str) -> Any:
    """A module of the server, which is an extra."""
    try:
        return importlib.import_module(f"cutaway_server.{module}")
    except ModuleNotFoundError as error:
        raise ServerNotInstalled(f"{needs} the Python module {error.name!r}: pip install 'cutaway[server]'") from error


# --- the work ---------------------------------------------------------------------------------------------


@contextlib.contextmanager
def _client(server: str | None, display: Display, **settings: Any) -> Iterator[Client]:
    """A client of a server; ``settings`` are for one that is started because there is none.

    Such a server lives for seconds: too short to look for news in feeds.
    """
    with contextlib.ExitStack() as stack:
        if server is None:
            display.stage("starting a server")
            client = Client(stack.enter_context(embedded(feed_minutes=0, clip_space=0, **settings)))
        else:
            client = Client(server)
        display.stage("asking the server")
        yield stack.enter_context(client)


def _save_all(stream: SnippetStream, out: Path, display: Display) -> None:
    out.mkdir(parents=True, exist_ok=True)
    count = 0
    with stream:
        for snippet in stream:
            display.snippet(snippet, snippet.save(out))
            count += 1
    if not count:
        display.note("Nothing stands out in this video: no snippets.")


def _print_snippets(stream: SnippetStream, out: Path | None, display: Display) -> None:
    if out is not None:
        out.mkdir(parents=True, exist_ok=True)
    with stream:
        for message in stream.messages():
            print(protocol.encode_video(message).decode(), flush=True)  # noqa: T201
            value = read_message(message)  # raises the server's error, when its message has been printed
            if isinstance(value, Snippet):
                display.snippet(value, None if out is None else value.save(out))
            elif value is not None:
                display.progress(value)


# --- the process ------------------------------------------------------------------------------------------


def _terminated(number: int, frame: FrameType | None) -> NoReturn:
    raise SystemExit(128 + number)


def main() -> NoReturn:
    """Run the command line and exit with its status."""
    # Unwinds like Ctrl-C does, so that nothing stays behind.
    signal.signal(signal.SIGTERM, _terminated)
    if sys.stdout is None:  # a shell's >&-
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115, PTH123 - as long as the process lives
    if isinstance(sys.stdout, io.TextIOWrapper):  # Titles are in any script, whatever the terminal can show.
        sys.stdout.reconfigure(errors="backslashreplace")
    sys.exit(_run())


def _run() -> int:
    try:
        status = cli.main(standalone_mode=False)
        sys.stdout.flush()
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except (KeyboardInterrupt, click.Abort):
        return 130
    except BrokenPipeError:
        # Whoever read our stdout has gone. Python would complain once more when it flushes stdout at the end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except (CutawayError, OSError) as error:
        text = error.message if isinstance(error, ServerError) else str(error)
        click.echo(f"cutaway: {without_controls(text)}", err=True)
        return 2 if isinstance(error, InvalidRequest) else 1
    return status if isinstance(status, int) else 0
