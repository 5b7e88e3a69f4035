"""``parse SOURCE FUNCTION FILE``: what Beat makes of a provider's answer. Reads files, asks nobody.

Standard output holds JSON lines only, one per answer. Exit status: 0 when every answer was looked at, whatever it
means, 2 when Beat was not told what to look at.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from core.crawler.call import as_provider_error
from core.crawler.offline import read_answer
from core.crawler.provider import Asked, Provider
from instagram.functions.retriever.crawler import INSTAGRAM
from instagram.parse_form import FUNCTIONS, Form, error_form, form, refusal
from scripts.beatctl.cli import OK, WRONG_USE

HELP = "show what Beat makes of a provider's answer"

STDIN = "-"
ALIASES = {"fetch_tagged_posts_by_profile_id": "fetch_tagged_posts"}
"""Other names of functions."""
REQUEST_KEYS = ("profile_id", "handle", "shortcode", "post_id", "hashtag", "cursor")


class NotAsked(Exception):
    """There is nothing to look at: ``word`` is the class of the error line."""

    def __init__(self, message: str, word: str = "unsupported") -> None:
        super().__init__(message)
        self.word = word


@dataclass(frozen=True, slots=True)
class Job:
    """One answer to look at."""

    source: str
    function: str
    file: str
    status: int = 200
    asked: Asked = field(default_factory=Asked)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of this command."""
    parser.usage = "%(prog)s SOURCE FUNCTION FILE [--status N] [--request JSON]\n       %(prog)s --manifest FILE.ndjson"
    parser.add_argument("source", nargs="?", metavar="SOURCE", help=", ".join(INSTAGRAM.providers))
    parser.add_argument("function", nargs="?", metavar="FUNCTION", help=", ".join(FUNCTIONS))
    parser.add_argument("file", nargs="?", metavar="FILE", help="the body as it came; - reads standard input")
    parser.add_argument("--status", type=int, default=200, metavar="N", help="HTTP status it came with (%(default)s)")
    parser.add_argument(
        "--request",
        metavar="JSON",
        help="what was asked for, so that an answer about another account or post is refused: an object with "
        "profile_id, handle or shortcode",
    )
    parser.add_argument(
        "--manifest",
        metavar="FILE.ndjson",
        help='many in one go: a line {"source","function","file","status","request"} in, a result line out',
    )
    parser.set_defaults(run=run, parser=parser)


def run(arguments: argparse.Namespace) -> int:
    """Print a line per answer."""
    single = (arguments.source, arguments.function, arguments.file)
    if arguments.manifest is not None:
        if any(single) or arguments.request is not None:
            arguments.parser.error("--manifest stands alone: its lines say source, function, file, status and request")
        return _many(arguments.manifest)
    if not all(single):
        arguments.parser.error("SOURCE, FUNCTION and FILE are needed")
    try:
        asked = _asked(None if arguments.request is None else _json(arguments.request, "--request"))
        job = Job(*single, _status(arguments.status), asked)
        _print(look_at(job))
    except NotAsked as error:
        return _wrong_use(error)
    return OK


def look_at(job: Job, base: Path | None = None) -> Form:
    """What Beat makes of an answer: a result, or the error that it means. ``base``: where else files may be.

    Raises:
        NotAsked: no such source, function or file.
    """
    function = ALIASES.get(job.function, job.function)
    if job.source not in INSTAGRAM.providers:
        raise NotAsked(f"no source {job.source!r}; known: {', '.join(INSTAGRAM.providers)}")
    if function not in FUNCTIONS:
        raise NotAsked(f"no function {job.function!r}; known: {', '.join(FUNCTIONS)}")
    provider = INSTAGRAM.providers[job.source]
    if function not in provider.parsers:
        return refusal("unsupported", f"{job.source} has no {function}; it has {', '.join(provider.parsers)}")
    return _result(provider, function, job, _body(job.file, base))


def _result(provider: type[Provider], function: str, job: Job, body: bytes) -> Form:
    try:
        return form(function, read_answer(provider, function, job.asked, body=body, status=job.status))
    except Exception as error:  # noqa: BLE001 - one answer that cannot be shown must not end a manifest
        return error_form(as_provider_error(error, "show"))


def _many(manifest: str) -> int:
    base = None if manifest == STDIN else Path(manifest).parent
    try:
        lines = _body(manifest, None).splitlines()
    except NotAsked as error:
        return _wrong_use(error)
    for number, line in enumerate(lines, 1):
        if line.strip():
            _print(_line_result(number, line, base))
    return OK


def _line_result(number: int, line: bytes, base: Path | None) -> Form:
    try:
        return look_at(_job(line), base)
    except NotAsked as error:
        return refusal(error.word, f"line {number}: {error}")


def _job(line: bytes) -> Job:
    row = _json(line, "the line")
    if not isinstance(row, dict):
        raise NotAsked("the line is no JSON object", "malformed")
    source, function, file = (_text(row, name) for name in ("source", "function", "file"))
    if file == STDIN:
        raise NotAsked("a manifest cannot read an answer from standard input", "malformed")
    return Job(source, function, file, _status(row.get("status")), _asked(row.get("request")))


def _text(row: Mapping[str, Any], name: str) -> str:
    value = row.get(name)
    if isinstance(value, str) and value:
        return value
    raise NotAsked(f"the line has no {name}", "malformed")


def _json(text: str | bytes, what: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        raise NotAsked(f"{what} is no JSON", "malformed") from None


def _status(value: object) -> int:
    """An HTTP status; 200 when none is given."""
    if value is None:
        return 200
    if isinstance(value, int) and not isinstance(value, bool) and 100 <= value <= 599:
        return value
    raise NotAsked(f"{value!r} is no HTTP status", "malformed")


def _asked(request: Any) -> Asked:
    if request is None:
        return Asked()
    if not isinstance(request, Mapping):
        raise NotAsked("the request is no JSON object", "malformed")
    unknown = sorted(set(request) - set(REQUEST_KEYS))
    if unknown:
        raise NotAsked(f"the request has {', '.join(unknown)}; known: {', '.join(REQUEST_KEYS)}", "malformed")
    identities: dict[str, Any] = {name: _identity(name, value) for name, value in request.items()}
    return Asked(**identities)


def _identity(name: str, value: object) -> str | None:
    """An id or name as text; an empty one counts as not given."""
    if value is None or value == "":
        return None
    if isinstance(value, str | int) and not isinstance(value, bool):
        return str(value)
    raise NotAsked(f"{name} of the request is no text", "malformed")


def _body(file: str, base: Path | None) -> bytes:
    """The bytes of a file (a relative one also beside the manifest), or of standard input."""
    if file == STDIN:
        if sys.stdin.isatty():
            print("beatctl: paste the body, then press Ctrl-D", file=sys.stderr)
        return sys.stdin.buffer.read()
    path = Path(file)
    try:
        if base is not None and not path.exists():
            path = base / path
        return path.read_bytes()
    except (OSError, ValueError) as error:  # ValueError: a null byte in the name
        reason = error.strerror if isinstance(error, OSError) else "no file name"
        raise NotAsked(f"cannot read {file!r}: {reason}", "malformed") from None


def _wrong_use(error: NotAsked) -> int:
    """The error as a line like any other, and in words for those who redirect standard output."""
    _print(refusal(error.word, str(error)))
    print(f"beatctl: {error}", file=sys.stderr)
    return WRONG_USE


def _print(line: Form) -> None:
    """One line; in a terminal with letters instead of escapes."""
    text = json.dumps(line, ensure_ascii=not _shows_letters(line))
    print(text, flush=True)


def _shows_letters(line: Form) -> bool:
    if not sys.stdout.isatty():
        return False
    try:
        json.dumps(line, ensure_ascii=False).encode(sys.stdout.encoding)
    except UnicodeEncodeError:  # half a surrogate pair, or a terminal with few letters
        return False
    return True
