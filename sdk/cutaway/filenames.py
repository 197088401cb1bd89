"""From a title to a file on disk: names that are safe everywhere, writes that are whole or not there.

What comes in are titles that strangers wrote and bytes to keep; what goes out is the path of a complete file.
"""

from __future__ import annotations

import os
import re
import secrets
import unicodedata
from pathlib import Path

_MAX_STEM_BYTES = 180
"""File systems allow 255 bytes a name; this leaves room for a number and the suffix."""

_SEPARATORS = re.compile(r"\s*[/\\|:]+\s*")
_FORBIDDEN = re.compile(r'[<>"?*]')
_RESERVED = re.compile(r"(?i)(con|prn|aux|nul|conin\$|conout\$|(com|lpt)[0-9¹²³])\s*(\.|$)")
"""Windows' device names, with or without a suffix."""


def without_controls(text: str) -> str:
    """One line without control characters, escape characters, lone surrogates and bidirectional overrides.

    Joiners stay: emoji and several scripts need them.
    """
    kept = (
        " " if character.isspace() else character
        for character in text
        if character.isspace()
        or unicodedata.category(character) not in ("Cc", "Cf", "Cs")
        or character in "\u200c\u200d"
    )
    return " ".join("".join(kept).split())


def safe_stem(title: str, *, otherwise: str = "snippet") -> str:
    """A file name without suffix for a title, fit for Linux, macOS and Windows; `otherwise` when nothing is left.

    Unicode is kept (in NFC). Path separators become dashes; what Windows forbids, leading dots and dashes
    (hidden files, options of other programs) and trailing dots go.
    """
    text = unicodedata.normalize("NFC", without_controls(title))
    text = _FORBIDDEN.sub("", _SEPARATORS.sub(" - ", text)).lstrip(" .-")
    text = text.encode()[:_MAX_STEM_BYTES].decode(errors="ignore").rstrip(" .-")
    if _RESERVED.match(text):
        text = f"_{text}"
    return text or otherwise


def save(path: str | os.PathLike[str], stem: str, suffix: str, content: bytes) -> Path:
    """Write a file where a user says: into a directory under a new name, or exactly there.

    A trailing slash makes the directory first; ``~`` is expanded.

    Raises
    ------
    OSError
        The directory is missing or not writable, or the disk is full.
    """
    text = os.fspath(path)
    target = Path(text).expanduser()
    if text.endswith(("/", os.sep)):
        target.mkdir(parents=True, exist_ok=True)
    if target.is_dir():
        return write_new_file(target, stem, suffix, content)
    write_file(target, content)
    return target


def write_file(path: Path, content: bytes) -> None:
    """Write a file exactly there, replacing what was there; a failure or Ctrl-C leaves the old state.

    Raises
    ------
    OSError
        The directory is missing or not writable, or the disk is full.
    """
    partial = _write_partial(path.parent, content)
    try:
        partial.replace(path)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise


def write_new_file(directory: Path, stem: str, suffix: str, content: bytes) -> Path:
    """Write a file under a name that no other file has: ``stem``, or ``stem (2)`` and so on.

    Raises
    ------
    OSError
        As :func:`write_file`.
    """
    partial = _write_partial(directory, content)
    try:
        path, number = directory / f"{stem}{suffix}", 1
        while not _rename_new(partial, path):
            number += 1
            path = directory / f"{stem} ({number}){suffix}"
        return path
    finally:
        partial.unlink(missing_ok=True)


def _write_partial(directory: Path, content: bytes) -> Path:
    # Not tempfile: its files are private (0600) for good, these get what the user's umask says.
    partial = directory / f".cutaway-{secrets.token_hex(8)}.part"
    try:
        with partial.open("xb") as file:
            file.write(content)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise
    return partial


def _rename_new(partial: Path, path: Path) -> bool:
    """Rename where nothing has that name yet; False if something has (``os.replace`` would overwrite it)."""
    try:
        os.link(partial, path)
    except FileExistsError:
        return False
    except OSError:
        # No hard links here (FAT, some network mounts): reserve the name, then fill it.
        try:
            path.open("x").close()
        except FileExistsError:
            return False
        partial.replace(path)
    return True
