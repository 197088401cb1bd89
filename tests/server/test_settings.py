"""Settings from flags, variables and ``.env``."""

from __future__ import annotations

import ipaddress
from pathlib import Path

import pytest
from pydantic import SecretStr

from cutaway_server.gemini.safety import CATEGORIES, THRESHOLDS
from cutaway_server.settings import Settings


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_defaults() -> None:
    settings = Settings.from_arguments([])
    assert type(settings) is Settings
    assert (settings.host, settings.port, settings.workers >= 2) == ("127.0.0.1", 8000, True)
    assert settings.message_limit == 32 << 20
    assert settings == Settings()


def test_flags_win_over_variables_and_those_over_the_file(monkeypatch: pytest.MonkeyPatch) -> None:
    Path(".env").write_text("CUTAWAY_PORT=1\nCUTAWAY_MAX_STREAMS=7\nCUTAWAY_MAX_WAITING=9\nOTHER_KEY=x\n")
    monkeypatch.setenv("CUTAWAY_PORT", "2")
    monkeypatch.setenv("CUTAWAY_MAX_STREAMS", "8")
    settings = Settings.from_arguments(["--port", "3"])
    assert (settings.port, settings.max_streams, settings.max_waiting) == (3, 8, 9)


def test_a_snippet_fits_a_frame_of_the_client() -> None:
    assert Settings.from_arguments(["--message-limit", "47MiB"]).message_limit == 47 << 20
    with pytest.raises(SystemExit):
        Settings.from_arguments(["--message-limit", "48MiB"])


def test_lists_and_sizes(monkeypatch: pytest.MonkeyPatch) -> None:
    networks = tuple(map(ipaddress.ip_network, ("10.0.0.0/8", "fd00::/8", "192.168.0.0/16")))
    arguments = ["--allow-network", "10.0.0.0/8", "--allow-network", "fd00::/8,192.168.0.0/16"]
    assert Settings.from_arguments(arguments).allow_network == networks
    monkeypatch.setenv("CUTAWAY_ALLOW_NETWORK", "10.0.0.0/8, fd00::/8,192.168.0.0/16")
    monkeypatch.setenv("CUTAWAY_ALLOW_ADDRESS", "127.0.0.1:9000,[::1]:9001")
    monkeypatch.setenv("CUTAWAY_WORKER_MEMORY", "3GiB")
    settings = Settings.from_arguments(["--exit-with-parent"])
    assert settings.allow_network == networks
    assert settings.allow_address == (("127.0.0.1", 9000), ("::1", 9001))
    assert settings.worker_memory == 3 << 30
    assert settings.exit_with_parent


@pytest.mark.parametrize(
    "arguments",
    [
        ["--port", "99999"],
        ["--port", "x"],
        ["--port"],
        ["--no-such-flag"],
        ["stray"],
        ["--allow-network", "10.0.0.1/8"],
        ["--allow-address", "localhost:80"],
        ["--allow-address", "127.0.0.1"],
        ["--allow-address", "127.0.0.1:0"],
        ["--allow-origin", "app.example"],
        ["--allowed-host", "http://a/"],
        ["--worker-memory", "much"],
        ["--worker-memory", "1"],
        ["--request-seconds", "nan"],
        ["--log-level", "loud"],
        ["--workers", "0"],
        ["--gemini-base-url", "gateway.example"],
        ["--gemini-base-url", "https://me:word@gateway.example"],
        ["--gemini-base-url", "https://gateway.example:99999"],
        ["--gemini-base-url", "https://gateway.example:0"],
        ["--gemini-base-url", "https://gateway.example:port"],
        ["--gemini-base-url", " https://gateway.example"],
        ["--gemini-base-url", "https://gateway.example/a b"],
        ["--gemini-base-url", "https://gateway.example/\nX: y"],
        ["--gemini-summary-model", "a model"],
        ["--gemini-vertex-project", "a/b"],
        ["--gemini-safety", "harassment"],
        ["--gemini-safety", "harassment=block_none,nonsense=off"],
        ["--gemini-first-seconds", "0"],
        ["--gemini-calls", "0"],
    ],
)
def test_a_bad_value_is_one_clear_line(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        Settings.from_arguments(arguments, prog="cutaway serve")
    assert caught.value.code == 2
    output, errors = capsys.readouterr()
    assert not output
    assert errors.startswith("cutaway serve: error: ")
    assert errors.count("\n") == 1
    assert arguments[0] in errors


def test_help_describes_every_flag(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        Settings.from_arguments(["--help"])
    assert caught.value.code == 0
    text = capsys.readouterr().out
    for name, each in Settings.model_fields.items():
        # What has a name of its own is Google's: a variable, and no flag.
        assert (f"--{name.replace('_', '-')}" in text) == (each.validation_alias is None), name
        assert each.description
    assert "api-key" not in text.lower()


KEY = "canary-3b1f77"


def test_keys_come_from_variables_and_the_file(monkeypatch: pytest.MonkeyPatch) -> None:
    assert Settings.from_arguments([]).gemini_api_key is None
    Path(".env").write_text(f"GOOGLE_API_KEY={KEY}\n")
    assert Settings.from_arguments([]).gemini_api_key == SecretStr(KEY)
    for name, value in (("GEMINI_API_KEY", "nearer"), ("GOOGLE_API_KEY", "nearest")):
        monkeypatch.setenv(name, value)
        assert Settings.from_arguments([]).gemini_api_key == SecretStr(value)


@pytest.mark.parametrize("blank", ["", "   ", "\t"])
def test_a_blank_key_hides_no_other_one(monkeypatch: pytest.MonkeyPatch, blank: str) -> None:
    monkeypatch.setenv("GOOGLE_API_KEY", blank)
    assert Settings.from_arguments([]).gemini_api_key is None
    monkeypatch.setenv("GEMINI_API_KEY", KEY)
    assert Settings.from_arguments([]).gemini_api_key == SecretStr(KEY)
    monkeypatch.delenv("GEMINI_API_KEY")
    Path(".env").write_text(f"GOOGLE_API_KEY='{blank}'\nGEMINI_API_KEY={KEY}\n")
    assert Settings.from_arguments([]).gemini_api_key == SecretStr(KEY)


def test_a_key_is_not_shown(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("GEMINI_API_KEY", KEY)
    settings = Settings.from_arguments([])
    assert KEY not in f"{settings!r} {settings} {settings.model_dump_json()} {settings.vertex}"
    monkeypatch.setenv("GEMINI_API_KEY", f"{KEY} and more")
    for arguments in ([], ["--gemini-api-key", KEY], [f"--google-api-key={KEY}"]):
        with pytest.raises(SystemExit) as caught:
            Settings.from_arguments(arguments)
        assert caught.value.code == 2
        errors = capsys.readouterr().err
        assert "key" in errors
        assert errors.count("\n") == 1
        assert KEY not in errors


@pytest.mark.parametrize("url", ["https://me:{}@gateway.example", "https://gateway.example/gemini?key={}"])
def test_a_password_in_a_url_is_not_shown(capsys: pytest.CaptureFixture[str], url: str) -> None:
    with pytest.raises(SystemExit):
        Settings.from_arguments(["--gemini-base-url", url.format(KEY)])
    errors = capsys.readouterr().err
    assert "without user name" in errors
    assert "gateway.example" in errors
    assert KEY not in errors


@pytest.mark.parametrize(
    ("variables", "vertex"),
    [
        ({"GOOGLE_CLOUD_PROJECT": "p"}, None),
        ({"GOOGLE_CLOUD_PROJECT": "p", "GOOGLE_GENAI_USE_VERTEXAI": "true"}, ("p", "global")),
        (
            {"GOOGLE_CLOUD_PROJECT": "p", "GOOGLE_GENAI_USE_ENTERPRISE": "1", "GOOGLE_CLOUD_LOCATION": "eu"},
            ("p", "eu"),
        ),
        ({"CUTAWAY_GEMINI_VERTEX_PROJECT": "q", "GOOGLE_CLOUD_PROJECT": "p"}, ("q", "global")),
        ({"CUTAWAY_GEMINI_VERTEX_PROJECT": "q", "CUTAWAY_GEMINI_VERTEX_LOCATION": "us-east1"}, ("q", "us-east1")),
    ],
)
def test_vertex_is_asked_for(
    monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], vertex: tuple[str, str] | None
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert Settings.from_arguments([]).vertex == vertex


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("GOOGLE_CLOUD_PROJECT", "p/locations/eu/../../q"),
        ("GOOGLE_CLOUD_PROJECT", "../v1/files?x="),
        ("GOOGLE_CLOUD_PROJECT", "zwei wörter"),
        ("GOOGLE_CLOUD_LOCATION", "evil.example:80"),
        ("GOOGLE_CLOUD_LOCATION", "evil.example/"),
    ],
)
def test_a_place_that_is_none_is_told_where_it_is_used(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], name: str, value: str
) -> None:
    for each in ("GOOGLE_CLOUD_PROJECT", "GOOGLE_CLOUD_LOCATION"):
        monkeypatch.setenv(each, value if each == name else "fine-1")
    assert Settings.from_arguments([]).vertex is None
    monkeypatch.setenv("GOOGLE_GENAI_USE_VERTEXAI", "true")
    with pytest.raises(SystemExit) as caught:
        Settings.from_arguments([])
    assert caught.value.code == 2
    assert f"error: {name}: a " in capsys.readouterr().err
    monkeypatch.setenv(name, " fine-2 ")
    assert "fine-2" in (Settings.from_arguments([]).vertex or ())
    for flag in ("--gemini-vertex-project=..", "--gemini-vertex-location=a/b"):
        with pytest.raises(SystemExit):
            Settings.from_arguments([flag])


def test_filters_have_the_names_of_google() -> None:
    arguments = ["--gemini-safety", "harassment=off,HARM_CATEGORY_HATE_SPEECH=block_none"]
    expected = (("HARM_CATEGORY_HARASSMENT", "OFF"), ("HARM_CATEGORY_HATE_SPEECH", "BLOCK_NONE"))
    assert Settings.from_arguments(arguments).gemini_safety == expected
    from google.genai import types

    assert {f"HARM_CATEGORY_{each}" for each in CATEGORIES} <= {each.value for each in types.HarmCategory}
    assert set(THRESHOLDS) <= {each.value for each in types.HarmBlockThreshold}
