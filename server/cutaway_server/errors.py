"""The one exception whose text a client may read.

Everything that can go wrong for reasons outside this program (a URL, a remote server, a file, a limit) is raised as a
:class:`Fault` or a subclass that lives in the room where it happens. Any other exception is a defect of ours: it is
logged with its traceback, and the client is told only that something failed inside.
"""

from __future__ import annotations


class Fault(Exception):
    """A failure with a message for the client: what happened, to which input, and what to do about it.

    The message never holds a private host name, an address that was resolved, a file path of this machine, or raw
    text of a library. Faults cross process borders: subclasses take exactly one argument, the message.
    """

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message
