"""The sample video: a film of three minutes that this machine draws for itself, to try Cutaway without a network.

What comes in is a path; what goes out is the film there. It is drawn by a child process, because that takes the
server's libraries.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from pathlib import Path

from .errors import CutawayError, ServerNotInstalled

__all__ = ["sample_video"]


def sample_video(path: str | os.PathLike[str] = "cutaway-demo/sample.mp4") -> Path:
    """A film to try things on: three minutes of mathematics that moves, with sound and captions.

    It is made when it is not there yet, which takes some seconds and blocks; interrupted, it leaves no file.

    Parameters
    ----------
    path : str or path-like
        Where it is, or shall be; missing folders are made.

    Returns
    -------
    Path
        The same, for :meth:`Client.snippets` of an embedded server.

    Raises
    ------
    ServerNotInstalled
        The extra is missing: ``pip install 'cutaway[server]'``.
    CutawayError
        It cannot be made; the message says why.
    OSError
        The folder cannot be made.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.exists():
        return path
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
        raise ServerNotInstalled("the sample video needs the server's libraries: pip install 'cutaway[server]'")
    if child.returncode:
        raise CutawayError(f"cannot make the sample video: {complaint[-300:]}")
    return path
