"""The command line, ``cutaway``: snippets, serve, demo, articles.

What comes in are arguments; what goes out are files, lines on stdout, live progress, and an exit status: 0
for done, 1 for a failure (one line on stderr), 2 for wrong usage, 130 for Ctrl-C. Whatever happens, no
server, no temporary file and no half snippet stays behind.
"""

from __future__ import annotations

import contextlib
import importlib
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn, TypeVar

import click
import msgspec

from . import __version__, protocol
from .client import check_request, check_wishes
from .display import Display
from .embedded import embedded
from .errors import CutawayError, InvalidRequest, ServerError, ServerNotInstalled
from .filenames import without_controls
from .streams import SnippetStream, read_message
from .sync import Client
from .values import Snippet

Command = TypeVar("Command", bound=Callable[..., Any])

_CONTEXT = {"help_option_names": ["-h", "--help"], "show_default": True}


@click.group(context_settings=_CONTEXT)
@click.version_option(__version__, prog_name="cutaway")
def cli() -> None:
    """The moments that matter: short MP4 snippets out of any video."""


def _wishes(command: Command) -> Command:
    """The options that say which snippets, and by whom."""
    fields = {field.name: field.default for field in msgspec.structs.fields(protocol.SnippetRequest)}
    options = [
        click.option("--max-snippets", type=int, metavar="N", default=fields["max_snippets"], help="At most so many."),
        click.option("--min-seconds", type=float, default=fields["min_seconds"], help="No snippet is shorter."),
        click.option("--max-seconds", type=float, default=fields["max_seconds"], help="No snippet is longer."),
        click.option("--max-height", type=int, metavar="PIXELS", help="Scale down what is higher."),
        click.option(
            "--server",
            metavar="URL",
            envvar="CUTAWAY_SERVER",
            show_envvar=True,
            help="A running server (ws://host:port). Without it, one is started for this call.",
        ),
    ]
    for option in reversed(options):
        command = option(command)
    return command


@cli.command()
@click.argument("video", metavar="URL_OR_FILE")
@click.option(
    "-o",
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    metavar="DIR",
    help="Where the files go; made if missing.  [default: the current directory]",
)
@click.option("--json", "as_json", is_flag=True, help="Print the messages as JSON lines; save nothing without --out.")
@_wishes
def snippets(video: str, out: Path | None, as_json: bool, server: str | None, **wishes: Any) -> None:
    """Save the interesting moments of a video as MP4 files.

    URL_OR_FILE is the address of a video file or, without --server, a file on this machine. What is saved is named
    after what happens in it; no file is ever overwritten.
    """
    check_request(video, **wishes)  # before a server is started for nothing
    with Display(lines=not as_json) as display, _client(server, display) as client:
        stream = client.snippets(video, on_progress=display.progress, **wishes)
        if as_json:
            _print_messages(stream, out, display)
        else:
            _save_all(stream, out or Path(), display)


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
def demo(video: str | None, out: Path, server: str | None, **wishes: Any) -> None:
    """See it work, on a sample or on a video of yours."""
    if video is not None:
        check_request(video, **wishes)
    elif server is None:
        check_wishes(**wishes)
    else:
        raise InvalidRequest(f"the sample is a file, which {server} cannot read: leave out --server, or give a URL")
    with Display() as display:
        if video is None:
            display.stage("making a sample video")
            video = str(_make_sample(out / "sample.mp4"))
            display.note(f"A sample video of three minutes: {video}")
        with _client(server, display) as client:
            stream = client.snippets(video, on_progress=display.progress, **wishes)
            _save_all(stream, out, display)
        display.note(
            f"\nThe snippets are in {out}{os.sep}. What to try next:\n"
            "  cutaway snippets https://...  the moments of a video of yours; see --help\n"
            "  cutaway serve                 a server that stays, for browsers, notebooks and programs\n"
            "  >>> import cutaway            the same in Python: help(cutaway)"
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
def _client(server: str | None, display: Display) -> Iterator[Client]:
    with contextlib.ExitStack() as stack:
        if server is None:
            display.stage("starting a server")
            client = Client(stack.enter_context(embedded()))
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


def _print_messages(stream: SnippetStream, out: Path | None, display: Display) -> None:
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


def _make_sample(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    if not path.exists():
        # A child, because its libraries are the server's.
        with subprocess.Popen(  # noqa: S603 (our own module, no shell)
            [sys.executable, "-m", "cutaway_server.sample", str(path)],
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        ) as child:
            try:
                _, complaint = child.communicate()
            except BaseException:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(child.pid, signal.SIGTERM)  # its ffmpegs, too
                raise
        if "No module named" in complaint:
            raise ServerNotInstalled("the demo needs the server's libraries: pip install 'cutaway[server]'")
        if child.returncode:
            raise CutawayError(f"cannot make the sample video: {complaint[-300:]}")
    return path


# --- the process ------------------------------------------------------------------------------------------


def _terminated(number: int, frame: FrameType | None) -> NoReturn:
    raise SystemExit(128 + number)


def main() -> NoReturn:
    """Run the command line and exit with its status."""
    # Unwinds like Ctrl-C does, so that nothing stays behind.
    signal.signal(signal.SIGTERM, _terminated)
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
