"""The wheel holds what the tree holds: each file of both source roots, nothing else, the promised metadata.

Two source roots need hand-written ``packages`` in setup.cfg, so a new room is easily forgotten, and an
editable install would never notice.
"""

from __future__ import annotations

import configparser
import importlib.metadata
import shutil
import subprocess
import sys
import zipfile
from email import message_from_bytes
from email.message import Message
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.version import Version

ROOT = Path(__file__).parents[1]
SOURCE_ROOTS = ("sdk", "server")
BUILD_INPUTS = (*SOURCE_ROOTS, "setup.cfg", "pyproject.toml", "LICENSE", "README.md")


def build_inputs() -> list[Path]:
    """What a build of a clean checkout would see: files tracked or untracked, but not ignored."""
    if not (ROOT / ".git").exists():
        # An unpacked archive: nothing is ignored but what running and installing leave behind.
        found = [path for name in BUILD_INPUTS for path in [ROOT / name, *(ROOT / name).rglob("*")]]
        return [path.relative_to(ROOT) for path in found if path.is_file() and path.suffix != ".pyc"]
    # safe.directory: in a container the tests may run as another user than the owner of the checkout.
    git = ["git", "-c", f"safe.directory={ROOT}", "-C", str(ROOT), "ls-files", "-z"]
    command = [*git, "--cached", "--others", "--exclude-standard", "--", *BUILD_INPUTS]
    listed = subprocess.run(command, check=True, capture_output=True).stdout.decode()
    # A deleted file is listed until the deletion is committed.
    return [Path(name) for name in listed.split("\0") if name and (ROOT / name).is_file()]


def build_options() -> list[str]:
    """Build with the setuptools that is here, without a network, unless it is too old to make wheels."""
    if Version(importlib.metadata.version("setuptools")) >= Version("70.1"):
        return ["--no-build-isolation", "--no-index"]
    return []


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the tree: no ``build/`` of the checkout leaks in, none is left there, nothing moves."""
    copy = tmp_path_factory.mktemp("tree")
    for path in build_inputs():
        (copy / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(ROOT / path, copy / path)
    return copy


@pytest.fixture(scope="module")
def sources(tree: Path) -> dict[str, bytes]:
    """The files below the source roots, by the name that they should have in the wheel."""
    roots = [tree / name for name in SOURCE_ROOTS]
    files = [(root, path) for root in roots for path in root.rglob("*") if path.is_file()]
    return {path.relative_to(root).as_posix(): path.read_bytes() for root, path in files}


@pytest.fixture(scope="module")
def wheel(tree: Path, sources: dict[str, bytes], tmp_path_factory: pytest.TempPathFactory) -> zipfile.ZipFile:
    """The wheel of the tree. (It needs ``sources`` to be read first: building writes into the copy.)"""
    output = tmp_path_factory.mktemp("wheel")
    pip = [sys.executable, "-m", "pip", "wheel", "--no-deps", "--quiet", *build_options()]
    built = subprocess.run([*pip, "--wheel-dir", str(output), str(tree)], capture_output=True, text=True, timeout=300)
    assert built.returncode == 0, built.stdout + built.stderr
    (made,) = output.glob("*")
    assert made.name.startswith("cutaway-")
    assert made.name.endswith("-py3-none-any.whl"), "pure Python: one wheel for every platform"
    return zipfile.ZipFile(made)


def info(wheel: zipfile.ZipFile, name: str) -> bytes:
    """A file of the wheel's ``.dist-info``, wherever setuptools puts it there."""
    (found,) = [entry for entry in wheel.namelist() if ".dist-info/" in entry and entry.endswith(f"/{name}")]
    return wheel.read(found)


@pytest.fixture(scope="module")
def metadata(wheel: zipfile.ZipFile) -> Message:
    """The wheel's METADATA."""
    return message_from_bytes(info(wheel, "METADATA"))


@pytest.fixture(scope="module")
def config(tree: Path) -> configparser.ConfigParser:
    """setup.cfg, references from one extra to another resolved."""
    parser = configparser.ConfigParser(delimiters=("=",))
    parser.read_string((tree / "setup.cfg").read_text("utf-8"))
    return parser


def required_names(text: str) -> set[str]:
    """The distributions in a list of requirements, one a line."""
    return {Requirement(line).name for line in text.splitlines() if line.strip()}


def test_wheel_has_every_source_file_and_nothing_else(wheel: zipfile.ZipFile, sources: dict[str, bytes]) -> None:
    packed = {name: wheel.read(name) for name in wheel.namelist() if ".dist-info/" not in name}
    assert {"cutaway/protocol.py", "cutaway/py.typed", "cutaway_server/py.typed"} <= set(packed)
    assert sorted(packed) == sorted(sources), "setup.cfg: packages or package_data miss something"
    assert packed == sources


def test_extras_are_those_of_setup_cfg(metadata: Message, config: configparser.ConfigParser) -> None:
    extras = dict(config["options.extras_require"])
    assert {"server", "test", "all"} <= set(extras)
    assert set(metadata.get_all("Provides-Extra", [])) == set(extras)

    promised = [Requirement(line) for line in metadata.get_all("Requires-Dist", [])]
    assert {each.name for each in promised if not each.marker} == required_names(config["options"]["install_requires"])
    for extra, text in extras.items():
        # A requirement of its own extra only: the marker is true with it and false without.
        chosen = [each for each in promised if each.marker and each.marker.evaluate({"extra": extra})]
        assert {each.name for each in chosen} == required_names(text), extra


def test_all_is_the_lot_but_for_developers_tools(config: configparser.ConfigParser) -> None:
    extras = {name: required_names(text) for name, text in config["options.extras_require"].items()}
    everything = set().union(*(names for extra, names in extras.items() if extra not in ("all", "test")))
    assert extras["all"] == everything


def test_command_is_an_entry_point(wheel: zipfile.ZipFile) -> None:
    parser = configparser.ConfigParser(delimiters=("=",))
    parser.read_string(info(wheel, "entry_points.txt").decode())
    assert dict(parser["console_scripts"]) == {"cutaway": "cutaway.cli:main"}
    assert {"cutaway/cli.py", "cutaway/cli/__init__.py"} & set(wheel.namelist())


def test_wheel_is_named_licensed_and_described(wheel: zipfile.ZipFile, tree: Path, metadata: Message) -> None:
    assert metadata["Name"] == "cutaway"
    assert metadata["Requires-Python"] == ">=3.11"
    # Newer setuptools write SPDX expressions into a field of its own.
    assert "MIT" in (metadata["License"], metadata["License-Expression"])
    assert info(wheel, "LICENSE") == (tree / "LICENSE").read_bytes()
    description = metadata.get_payload(decode=True)
    assert isinstance(description, bytes)
    assert description.decode().strip() == (tree / "README.md").read_text("utf-8").strip()
