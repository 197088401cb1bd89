"""All settings of the server, in one typed object. What comes in are flags, ``CUTAWAY_*`` variables and a
``.env`` file, in this order of precedence; what goes out is a frozen :class:`Settings`, or one clear line on
stderr and exit code 2.
"""

from __future__ import annotations

import inspect
import ipaddress
import os
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, NoReturn, TypeAlias
from urllib.parse import urlsplit

import platformdirs
from pydantic import AliasChoices, ByteSize, Field, SecretStr, ValidationError, ValidationInfo, field_validator
from pydantic_settings import (
    BaseSettings,
    EnvSettingsSource,
    NoDecode,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    SettingsError,
)

from cutaway_server.fetch.urls import mask_userinfo
from cutaway_server.gemini.safety import read_filter

Network: TypeAlias = ipaddress.IPv4Network | ipaddress.IPv6Network

_MIB = 1 << 20
_GIB = 1 << 30
_PROJECT = re.compile(r"(?:[A-Za-z0-9][A-Za-z0-9:.-]{0,99})?")
_LOCATION = re.compile(r"(?:[A-Za-z0-9][A-Za-z0-9-]{0,99})?")
"""They become part of paths and of a host name."""


def _cores() -> int:
    """Cores that this process may use, which in a container are fewer than the machine has."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


class _Flags(BaseSettings):
    """Each setting is a flag (--max-streams) and a variable (CUTAWAY_MAX_STREAMS), also in a file .env.

    Lists are given by repeating the flag or with commas; sizes as bytes or as 2GiB.

    The key for Gemini is no flag: it is the variable GEMINI_API_KEY or GOOGLE_API_KEY, also in a file .env.
    """

    model_config = SettingsConfigDict(
        frozen=True,
        env_prefix="CUTAWAY_",
        env_file=".env",
        env_ignore_empty=True,
        extra="ignore",
        cli_kebab_case=True,
        cli_implicit_flags=True,
        cli_hide_none_type=True,
        cli_exit_on_error=False,
        validate_default=True,
        validate_by_name=True,
        validate_by_alias=True,
    )

    host: str = Field("127.0.0.1", min_length=1, description="address to listen on; 0.0.0.0 or :: for all")
    port: int = Field(8000, ge=0, le=65535, description="port to listen on; 0 takes a free one and prints it")
    allow_network: Annotated[tuple[Network, ...], NoDecode] = Field(
        (), description="private networks that videos and feeds may be fetched from, such as 10.1.0.0/16 (list)"
    )
    allow_address: Annotated[tuple[tuple[str, int], ...], NoDecode] = Field(
        (),
        description="exact private addresses that videos and feeds may be fetched from, such as 127.0.0.1:9000 (list)",
    )
    allow_origin: Annotated[tuple[str, ...], NoDecode] = Field(
        (),
        description="web origins besides the own that may connect, such as https://app.example (list)",
    )
    allowed_host: Annotated[tuple[str, ...], NoDecode] = Field(
        (), description="names besides localhost that the server is reached by, such as video.example (list)"
    )
    workers: int = Field(
        max(2, _cores()),
        ge=1,
        le=512,
        description="worker processes for video; one for each core, at least 2",
    )
    worker_memory: ByteSize = Field(
        ByteSize(2 * _GIB), ge=512 * _MIB, description="address space of each worker and each of its children"
    )
    max_streams: int = Field(4, ge=1, description="video requests that are worked on at once")
    max_waiting: int = Field(16, ge=0, description="video requests that may wait for their turn; more are refused")
    request_seconds: float = Field(
        600, gt=0, allow_inf_nan=False, description="longest time of a video request, its wait included"
    )
    message_limit: ByteSize = Field(
        # Clients take frames of 64 MiB: 48 MiB as base64, less what else is in the frame.
        ByteSize(32 * _MIB),
        ge=_MIB,
        le=47 * _MIB,
        description="largest MP4 of a snippet",
    )
    max_download: ByteSize = Field(
        ByteSize(_GIB), ge=0, description="largest video from a server that cannot serve parts of it"
    )
    max_fetch: ByteSize = Field(ByteSize(4 * _GIB), ge=0, description="most that is fetched for one request")
    grace_seconds: float = Field(
        5,
        ge=0,
        allow_inf_nan=False,
        description="time that running requests get to finish when the server stops",
    )
    work_dir: Path | None = Field(
        None,
        description="folder in which each server keeps its temporary files, in one of its own "
        "(default: cutaway-<user id> in the system's)",
    )
    data_dir: Path = Field(
        default_factory=lambda: platformdirs.user_data_path("cutaway"),
        description="folder in which the articles are kept",
    )
    max_searches: int = Field(64, ge=1, description="searches that are worked on at once; more wait for their turn")
    search_workers: int = Field(
        max(2, _cores()),
        ge=0,
        le=512,
        description="worker processes for searches, besides one for the index and one for feeds; 0 turns search off",
    )
    search_seconds: float = Field(
        30, gt=0, allow_inf_nan=False, description="longest time of a search, from its turn to its end"
    )
    hacker_news: bool = Field(False, description="also ask the Hacker News search (hn.algolia.com)")
    hacker_news_url: str = Field("https://hn.algolia.com", description="where the Hacker News search is")
    searxng_url: str = Field("", description="also ask this SearXNG instance, such as https://searx.example")
    feed_minutes: float = Field(
        30, ge=0, allow_inf_nan=False, description="time between looks at a feed, at least 1; 0: only when told to"
    )
    clip_minutes: float = Field(60, gt=0, allow_inf_nan=False, description="how long clips are kept for players")
    clip_space: ByteSize = Field(
        ByteSize(512 * _MIB), ge=0, description="space for clips that are kept, in the work folder; 0 keeps none"
    )
    image_hours: float = Field(24, gt=0, allow_inf_nan=False, description="how long generated images are kept")
    image_space: ByteSize = Field(ByteSize(512 * _MIB), ge=_MIB, description="space for generated images")
    gemini_base_url: str = Field(
        "", description="where Gemini's service is, if not at Google: a gateway such as https://gateway.example/gemini"
    )
    gemini_vertex_project: str = Field("", description="project of Google Cloud: Gemini by Vertex AI instead of a key")
    gemini_vertex_location: str = Field(
        "", description="location for Vertex AI, such as europe-west4 (default: global)"
    )
    gemini_summary_model: str = Field("gemini-3.8-flash", description="model that writes summaries")
    gemini_image_model: str = Field("gemini-3.1-flash-image", description="model that draws images")
    gemini_video_model: str = Field("gemini-3.8-flash", description="model that finds the moments of videos")
    gemini_video_closely: bool = Field(
        False, description="let the model look at videos more closely, for three times the tokens"
    )
    gemini_search: bool = Field(False, description="let the model search the web with Google for summaries")
    gemini_thinking: Literal["", "minimal", "low", "medium", "high"] = Field(
        "", description="how long the model thinks before it writes, for models that can be told (default: as it likes)"
    )
    gemini_safety: Annotated[tuple[tuple[str, str], ...], NoDecode] = Field(
        (), description="what the model's filters stop, such as harassment=block_only_high (list)"
    )
    gemini_calls: int = Field(32, ge=1, le=1000, description="questions to the model at once; more wait for their turn")
    gemini_retries: int = Field(2, ge=0, le=10, description="new attempts when the model fails before it has answered")
    gemini_first_seconds: float = Field(
        12, gt=0, allow_inf_nan=False, description="time for the model's first words; the local way answers after that"
    )
    gemini_gap_seconds: float = Field(
        20, gt=0, allow_inf_nan=False, description="longest silence of the model in the middle of an answer"
    )
    gemini_wait_seconds: float = Field(
        0.3, ge=0, allow_inf_nan=False, description="how long the model's summary waits for the first articles"
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field("info", description="least severe messages logged")
    exit_with_parent: bool = Field(False, description="stop when standard input is closed")

    @field_validator("allow_network", "allow_address", "allow_origin", "allowed_host", "gemini_safety", mode="before")
    @classmethod
    def _split(cls, value: object, info: ValidationInfo) -> object:
        """Flags and variables arrive as text with commas, one address in it as ``ip:port``, one filter as ``a=b``."""
        if isinstance(value, str):
            value = [part.strip() for part in value.split(",") if part.strip()]
        read = {"allow_address": _address, "gemini_safety": read_filter}.get(str(info.field_name))
        if read is not None and isinstance(value, list | tuple):
            return [read(each) if isinstance(each, str) else each for each in value]
        return value

    @field_validator("allow_origin", "allowed_host")
    @classmethod
    def _normalise(cls, value: tuple[str, ...], info: ValidationInfo) -> tuple[str, ...]:
        for each in value:
            if info.field_name == "allow_origin" and not each.startswith(("http://", "https://")):
                raise ValueError("an origin starts with http:// or https://")
            if info.field_name == "allowed_host" and "/" in each:
                raise ValueError("a host is a name without scheme and path")
        return tuple(each.rstrip("/").lower() for each in value)

    @field_validator("gemini_base_url")
    @classmethod
    def _base(cls, value: str) -> str:
        if not value:
            return value
        parts = urlsplit(value)
        if (
            parts.scheme not in ("http", "https")
            or not value.isprintable()
            or " " in value
            or not parts.hostname
            or parts.port == 0
            or parts.username
            or parts.query
            or parts.fragment
        ):
            raise ValueError("a base URL is http(s)://host, perhaps with a path, without user name, query and fragment")
        return value.rstrip("/")

    @field_validator("gemini_summary_model", "gemini_image_model", "gemini_video_model")
    @classmethod
    def _model(cls, value: str) -> str:
        if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._/@-]{0,199}", value) or ".." in value:
            raise ValueError("a model is named like gemini-3.8-flash")
        return value

    @field_validator("gemini_vertex_project", "gemini_vertex_location")
    @classmethod
    def _cloud(cls, value: str, info: ValidationInfo) -> str:
        return _of_cloud(str(info.field_name), value)


class Settings(_Flags):
    """All settings: those that are flags, and Google's own variables, of which the keys must not be seen in ``ps``."""

    gemini_api_key: SecretStr | None = Field(
        None,
        validation_alias=AliasChoices("GOOGLE_API_KEY", "GEMINI_API_KEY"),
        description="key for the Gemini API",
    )
    google_genai_use_vertexai: bool = Field(
        False,
        validation_alias=AliasChoices("GOOGLE_GENAI_USE_ENTERPRISE", "GOOGLE_GENAI_USE_VERTEXAI"),
        description="Vertex AI, in the project and location of the following",
    )
    google_cloud_project: str = Field(
        "", validation_alias="GOOGLE_CLOUD_PROJECT", description="project of Google Cloud"
    )
    google_cloud_location: str = Field("", validation_alias="GOOGLE_CLOUD_LOCATION", description="its location")

    @field_validator("gemini_api_key")
    @classmethod
    def _key(cls, value: SecretStr | None) -> SecretStr | None:
        key = value.get_secret_value().strip() if value is not None else ""
        if not key.isascii() or not key.isprintable() or " " in key:
            raise ValueError("this (or GEMINI_API_KEY) is not a key, which has no blanks and no signs beyond ASCII")
        return SecretStr(key) if key else None

    @field_validator("google_cloud_project", "google_cloud_location")
    @classmethod
    def _own_cloud(cls, value: str, info: ValidationInfo) -> str:
        # Other programs need them, too: what they hold is nobody's business here unless it is used.
        used = info.data.get("google_genai_use_vertexai") and not info.data.get("gemini_vertex_project")
        return _of_cloud(str(info.field_name), value.strip()) if used else value

    @classmethod
    def settings_customise_sources(
        cls, settings_cls: type[BaseSettings], *args: Any, **sources: PydanticBaseSettingsSource
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """The usual ones; a variable that holds nothing but blanks hides no other one of the same meaning."""
        for each in sources.values():
            if isinstance(each, EnvSettingsSource):
                each.env_vars = {name: value for name, value in each.env_vars.items() if value and value.strip()}
        return super().settings_customise_sources(settings_cls, *args, **sources)

    @property
    def vertex(self) -> tuple[str, str] | None:
        """Project and location for Vertex AI; None: the Gemini API, with a key."""
        if self.gemini_vertex_project:
            return self.gemini_vertex_project, self.gemini_vertex_location or "global"
        if self.google_genai_use_vertexai and self.google_cloud_project:
            location = self.gemini_vertex_location or self.google_cloud_location or "global"
            return self.google_cloud_project, location
        return None

    @classmethod
    def from_arguments(cls, arguments: Sequence[str], *, prog: str = "cutaway serve") -> Settings:
        """Read flags, variables and ``.env``.

        Raises
        ------
        SystemExit
            Code 0 after ``--help``; code 2 after one line on stderr when a value is wrong.
        """
        if any(each.startswith(("--gemini-api-key", "--google-api-key")) for each in arguments):
            _exit(
                prog,
                "a key is no flag, which all users would see: set GEMINI_API_KEY, or put it into .env",
            )
        names = {
            "__doc__": inspect.getdoc(_Flags),
            "__module__": __name__,
            "model_config": {"cli_prog_name": prog},
        }
        named: Any = type(cls.__name__, (_Flags,), names)
        try:
            flags = named(_cli_parse_args=list(arguments))
            return cls(**{name: getattr(flags, name) for name in _Flags.model_fields})
        except ValidationError as error:
            problems = "; ".join(_problem(each["loc"], each["msg"], each.get("input")) for each in error.errors())
            _exit(prog, problems)
        except SettingsError as error:
            _exit(prog, str(error))


def _of_cloud(name: str, value: str) -> str:
    """The name of a project or location, if it is one."""
    place = name.endswith("location")
    if not (_LOCATION if place else _PROJECT).fullmatch(value):
        raise ValueError(f"a {'location' if place else 'project'} has letters, digits and hyphens")
    return value


def _address(text: str) -> tuple[str, int]:
    """``127.0.0.1:9000`` or ``[::1]:9000`` as address and port."""
    host, separator, port = text.rpartition(":")
    try:
        address = ipaddress.ip_address(host.removeprefix("[").removesuffix("]"))
        number = int(port)
    except ValueError:
        separator = ""
    if not separator or not 0 < number < 65536:
        raise ValueError("an address is a literal IP address and a port, such as 127.0.0.1:9000 or [::1]:9000")
    return str(address), number


def _problem(where: tuple[int | str, ...], message: str, value: object) -> str:
    name = str(where[0]) if where else "settings"
    message = message.removeprefix("Value error, ")
    problem = f"{message[:1].lower()}{message[1:]}"
    if name.isupper():
        return f"{name}: {problem}"  # a variable of Google's, which may be a key
    shown = value
    if isinstance(value, str):
        # What a gateway takes as a key may stand in the query.
        shown = mask_userinfo(re.split(r"[?#]", value, maxsplit=1)[0] if "://" in value else value)
    return f"--{name.replace('_', '-')}: {problem} (got {shown!r})"


def _exit(prog: str, problem: str) -> NoReturn:
    sys.stderr.write(f"{prog}: error: {' '.join(problem.split())}\n")
    raise SystemExit(2)
