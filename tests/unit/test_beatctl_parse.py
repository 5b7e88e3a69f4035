"""`beatctl parse`: what an operator or a script sees for an answer, and for what is no answer."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from collections.abc import Callable
from contextlib import aclosing
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from core.crawler.call import call
from core.crawler.provider import Asked, Credential, Payload, Provider
from core.enums import Platform
from core.models.logs import ProfileLog
from instagram.functions.retriever.crawler import INSTAGRAM
from instagram.models.functions import FETCH_PROFILE_BY_HANDLE
from instagram.models.pages import ProfilePage
from instagram.tasks.transformer import ACCOUNT_COLUMNS
from scripts.beatctl.__main__ import main
from utils.request import HttpClient, HttpOptions

ROOT = Path(__file__).parents[2]
WHEN = datetime(2023, 1, 28, tzinfo=UTC)
USER = {
    "user": {"pk": 5820113374, "username": "aurora.kitchen", "biography": "", "follower_count": "12"},
    "status": "ok",
}


@dataclass(frozen=True)
class Ran:
    """How a command ended; ``lines`` is its standard output, decoded."""

    code: int
    lines: list[Any]
    err: str

    @property
    def line(self) -> Any:
        (line,) = self.lines
        return line


Run = Callable[..., Ran]


@pytest.fixture
def parse(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs `beatctl parse ...` with ``stdin``."""

    def run(*arguments: str, stdin: bytes = b"") -> Ran:
        monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(stdin)))
        try:
            code = main(["parse", *arguments])
        except SystemExit as left:
            code = int(left.code or 0)
        out, err = capsys.readouterr()
        return Ran(code, [json.loads(line) for line in out.splitlines()], err)

    return run


@pytest.fixture
def user(tmp_path: Path) -> str:
    """A file with a user of the mobile API."""
    file = tmp_path / "user.json"
    file.write_text(json.dumps(USER), encoding="utf-8")
    return str(file)


BY_HANDLE = ("rapidapi-arraybobo", "fetch_profile_by_handle")


def test_a_profile_is_printed_with_column_names_and_null_for_what_was_not_said(parse: Run, user: str) -> None:
    ran = parse(*BY_HANDLE, user)
    assert (ran.code, ran.err, ran.line["kind"], ran.line["items"]) == (0, "", "profile", [])
    said = {key: value for key, value in ran.line["profile"].items() if value is not None}
    assert said == {"profile_id": "5820113374", "handle": "aurora.kitchen", "biography": "", "followers": 12}
    assert set(ran.line["profile"]) == {"profile_id", "external_url", *ACCOUNT_COLUMNS.values()}


def test_a_payload_can_be_pasted(parse: Run, user: str) -> None:
    pasted = parse(*BY_HANDLE, "-", stdin=b"\n" + Path(user).read_bytes() + b"\n")
    assert pasted.lines == parse(*BY_HANDLE, user).lines


@pytest.mark.parametrize(
    ("status", "body", "word", "retryable"),
    [
        (200, b"", "upstream", True),
        (200, b"<html>please log in</html>", "upstream", True),
        (200, b'{"user": {"pk": 1', "upstream", True),
        (200, b'{"user": null}', "not_found", False),
        (200, b'{"message": "Not authorized to view user", "status": "fail"}', "private", False),
        (200, b'{"user": {"pk": 1.5, "username": "a"}}', "malformed", False),
        (200, b'{"message": "You have exceeded the MONTHLY quota for Requests"}', "quota_exhausted", False),
        (401, b"{}", "auth", False),
        (429, b"{}", "rate_limited", True),
        (422, b"{}", "unsupported", False),
        (503, b"", "upstream", True),
    ],
)
def test_an_answer_that_is_no_data_is_an_error_line(
    parse: Run, status: int, body: bytes, word: str, retryable: bool
) -> None:
    ran = parse(*BY_HANDLE, "-", "--status", str(status), stdin=body)
    assert (ran.code, ran.err, ran.line["kind"]) == (0, "", "error")
    assert ran.line["error"] == {"class": word, "retryable": retryable, "message": ran.line["error"]["message"]}
    assert ran.line["error"]["message"]


@pytest.mark.parametrize(
    ("request_", "kind"),
    [
        ({"handle": "Aurora.Kitchen"}, "profile"),
        ({"profile_id": 5820113374}, "profile"),
        ({"handle": None, "profile_id": ""}, "profile"),
        ({"handle": "someone.else"}, "error"),
        ({"profile_id": "1"}, "error"),
    ],
)
def test_an_answer_about_somebody_else_is_not_found(parse: Run, user: str, request_: dict[str, Any], kind: str) -> None:
    ran = parse(*BY_HANDLE, user, "--request", json.dumps(request_))
    assert ran.line["kind"] == kind
    if kind == "error":
        assert ran.line["error"]["class"] == "not_found"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("rapidapi-arraybob", "fetch_profile_by_handle", "-"), "rapidapi-arraybobo"),
        (("rapidapi-arraybobo", "fetch_profile", "-"), "fetch_profile_by_handle"),
        ((*BY_HANDLE, "/nowhere.json"), "No such file"),
        ((*BY_HANDLE, "/"), "directory"),
        ((*BY_HANDLE, "-", "--status", "99"), "HTTP status"),
        ((*BY_HANDLE, "-", "--request", "{"), "no JSON"),
        ((*BY_HANDLE, "-", "--request", "[]"), "no JSON object"),
        ((*BY_HANDLE, "-", "--request", '{"user": "x"}'), "profile_id, handle, shortcode"),
        ((*BY_HANDLE, "-", "--request", '{"handle": true}'), "handle"),
        (("--manifest", "/nowhere.ndjson"), "No such file"),
    ],
)
def test_wrong_use_ends_with_2_and_names_what_is_known(parse: Run, arguments: tuple[str, ...], said: str) -> None:
    ran = parse(*arguments)
    assert (ran.code, ran.line["kind"], ran.line["error"]["retryable"]) == (2, "error", False)
    assert said in ran.line["error"]["message"]
    assert ran.err == f"beatctl: {ran.line['error']['message']}\n"


@pytest.mark.parametrize("arguments", [(), ("graphapi",), BY_HANDLE, (*BY_HANDLE, "-", "--manifest", "x")])
def test_missing_and_clashing_arguments_show_the_usage(parse: Run, arguments: tuple[str, ...]) -> None:
    ran = parse(*arguments)
    assert (ran.code, ran.lines) == (2, [])
    assert "parse SOURCE FUNCTION FILE" in ran.err


def test_a_function_that_the_source_does_not_have_is_unsupported(parse: Run) -> None:
    ran = parse("graphapi", "fetch_followers", "-", stdin=b"{}")
    assert (ran.code, ran.line["error"]["class"]) == (0, "unsupported")


def test_a_manifest_gives_one_line_per_line_whatever_is_wrong_with_some(parse: Run, user: str, tmp_path: Path) -> None:
    good = {"source": BY_HANDLE[0], "function": BY_HANDLE[1], "file": user}
    rows: list[tuple[str | dict[str, Any], str]] = [
        (good, "profile"),
        ("not json", "malformed"),
        ("[1]", "malformed"),
        ("[" * 100_000, "malformed"),
        ({"source": BY_HANDLE[0]}, "malformed"),
        ({**good, "file": "/nowhere"}, "malformed"),
        ({**good, "file": "-"}, "malformed"),
        ({**good, "file": "a\0b"}, "malformed"),
        ({**good, "source": "nobody"}, "unsupported"),
        ({**good, "function": "fetch_followers", "source": "graphapi"}, "unsupported"),
        ({**good, "status": "x"}, "malformed"),
        ({**good, "status": True}, "malformed"),
        ({**good, "status": 429}, "rate_limited"),
        ({**good, "request": "x"}, "malformed"),
        ({**good, "request": {"handle": "else"}}, "not_found"),
        ({**good, "request": None, "status": None}, "profile"),
        ({**good, "file": "user.json"}, "profile"),
    ]
    manifest = tmp_path / "many.ndjson"
    lines = [row if isinstance(row, str) else json.dumps(row) for row, _ in rows]
    manifest.write_text("\n".join(lines) + "\n\n", encoding="utf-8")
    ran = parse("--manifest", str(manifest))
    found = [line["error"]["class"] if line["kind"] == "error" else line["kind"] for line in ran.lines]
    assert (ran.code, ran.err, found) == (0, "", [wanted for _, wanted in rows])
    assert ran.lines[1]["error"]["message"].startswith("line 2: ")
    piped = parse("--manifest", "-", stdin="\n".join(lines[:3]).encode() + b"\n\xff\xfe")
    assert piped.lines[:3] == ran.lines[:3]
    assert piped.lines[3]["error"]["class"] == "malformed"


def test_one_answer_that_stumbles_does_not_end_the_run(
    parse: Run, user: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    provider = INSTAGRAM.providers[BY_HANDLE[0]]

    def stumble(payload: Any) -> Any:
        return dict[str, str]()["pk"]

    monkeypatch.setattr(provider, "parsers", {**provider.parsers, BY_HANDLE[1]: stumble})
    ran = parse(*BY_HANDLE, user)
    assert (ran.code, ran.line["error"]["class"]) == (0, "malformed")


async def test_it_calls_the_functions_that_the_crawler_calls(
    parse: Run, user: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One parser object stands in the table; a call of the crawler and the command both end in it."""
    provider = INSTAGRAM.providers[BY_HANDLE[0]]
    seen: list[Any] = []

    def spy(payload: Payload) -> ProfilePage:
        seen.append(payload.data)
        return ProfilePage(ProfileLog(Platform.INSTAGRAM, "77", payload.source, WHEN))

    async def answer(self: Provider, function: str, asked: Asked, path: str, params: Any) -> Payload:
        return Payload(self.source, function, asked, USER, WHEN)

    monkeypatch.setattr(provider, "parsers", {**provider.parsers, BY_HANDLE[1]: spy})
    monkeypatch.setattr(provider, "get", answer)
    async with aclosing(HttpClient(HttpOptions())) as http:
        asked = Asked(handle="aurora.kitchen")
        client = provider(Credential(1, provider.source, None, {"x-rapidapi-key": "k"}), http)
        crawled = await call(client, FETCH_PROFILE_BY_HANDLE, asked, None)
    assert crawled.value.profile.profile_id == "77"
    assert parse(*BY_HANDLE, user).line["profile"]["profile_id"] == "77"
    assert seen == [USER, USER]


def test_it_starts_without_database_broker_settings_and_network(user: str, tmp_path: Path) -> None:
    """In a process of its own, with an empty environment and sockets that cannot be opened."""
    script = (
        "import socket, sys\n"
        "def refuse(*a, **k): raise AssertionError('a socket')\n"
        "from scripts.beatctl.__main__ import main\n"
        "socket.socket.connect = socket.create_connection = socket.getaddrinfo = refuse\n"
        f"code = main(['parse', *{BY_HANDLE!r}, {user!r}])\n"
        "loaded = {name.partition('.')[0] for name in sys.modules}\n"
        "heavy = {'sqlalchemy', 'asyncpg', 'config', 'credentials', 'aio_pika', 'yake'}\n"
        "print(sorted(loaded & heavy), file=sys.stderr)\n"
        "sys.exit(code)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, env={"PYTHONPATH": str(ROOT)}, capture_output=True, check=False
    )
    assert (done.returncode, done.stderr.decode().strip()) == (0, "[]")
    assert json.loads(done.stdout)["kind"] == "profile"


@pytest.mark.parametrize("text", ["\u2028line\x85", "\ud800", "🍋"])
@pytest.mark.parametrize("terminal", [True, False])
def test_a_result_is_one_line_of_json_whatever_the_letters(
    text: str, terminal: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    body = json.dumps({"user": {"pk": 1, "username": "a", "full_name": text}}).encode()
    out = io.TextIOWrapper(io.BytesIO(), encoding="utf-8")
    monkeypatch.setattr(out, "isatty", lambda: terminal, raising=False)
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(body)))
    monkeypatch.setattr("sys.stdout", out)
    assert main(["parse", *BY_HANDLE, "-"]) == 0
    out.seek(0)
    printed = out.read()
    assert printed.count("\n") == 1
    assert json.loads(printed)["profile"]["full_name"] == text
    assert ("🍋" in printed) is (terminal and text == "🍋")
    assert len(printed.splitlines()) == 1 or terminal
