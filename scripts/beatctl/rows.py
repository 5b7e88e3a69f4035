"""Rows of tasks from CSV or from one JSON object a line, with the line that each stands on."""

from __future__ import annotations

import csv
import json
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from scripts.beatctl.cli import CommandFailed

STDIN = "-"
UNDER_PARAMS = "params."
csv.field_size_limit(2**20)


def read_rows(file: str, form: str | None) -> Iterator[tuple[int, Any]]:
    """(line, row) of a file or of standard input, read as it comes.

    Raises:
        CommandFailed: the file cannot be read, or its form is not known.
    """
    form = form or {".csv": "csv", ".ndjson": "ndjson", ".jsonl": "ndjson"}.get(Path(file).suffix.lower())
    if form is None:
        raise CommandFailed(f"cannot tell the format of {file}: name it .csv or .ndjson, or give --format")
    with _lines(file) as lines:
        try:
            yield from _csv(lines) if form == "csv" else _ndjson(lines)
        except UnicodeDecodeError:
            raise CommandFailed(f"{file} is not UTF-8") from None
        except csv.Error as error:
            raise CommandFailed(f"{file} is no CSV{error.args[1]}: {error.args[0]}") from None


@contextmanager
def _lines(file: str) -> Iterator[Iterable[str]]:
    if file == STDIN:
        yield _without_mark(sys.stdin)
        return
    try:
        with Path(file).open(encoding="utf-8-sig", newline="") as opened:
            yield opened
    except OSError as error:
        raise CommandFailed(f"cannot read {file}: {error.strerror}") from None


def _without_mark(lines: Iterable[str]) -> Iterator[str]:
    """The lines; a byte order mark at the beginning is none of them."""
    for number, line in enumerate(lines):
        yield line if number else line.removeprefix("\ufeff")


def _ndjson(lines: Iterable[str]) -> Iterator[tuple[int, Any]]:
    for number, line in enumerate(lines, 1):
        if line.strip():
            yield number, _json(line)


def _csv(lines: Iterable[str]) -> Iterator[tuple[int, Any]]:
    """Empty cells count as left out; ``params.NAME`` columns are texts, a ``params`` column holds a JSON object."""
    reader = csv.DictReader(lines, restkey="", restval="", strict=True)  # an open quote would swallow rows
    for cells in _named(reader):
        row: dict[str, Any] = {name: cell for name, cell in cells.items() if cell not in ("", None)}
        under = {name: row.pop(name) for name in list(row) if name.startswith(UNDER_PARAMS)}
        if "params" in row:
            row["params"] = _json(row["params"])
        if under and isinstance(row.setdefault("params", {}), dict):
            row["params"] |= {name.removeprefix(UNDER_PARAMS): cell for name, cell in under.items()}
        yield reader.line_num, row


def _named(reader: csv.DictReader[str]) -> Iterator[dict[str, Any]]:
    try:
        _check_names([name for name in reader.fieldnames or () if name])
        yield from reader
    except csv.Error as error:
        raise csv.Error(f"{error}", f" after line {reader.line_num}") from None


def _check_names(names: list[str]) -> None:
    for name in names:
        if names.count(name) > 1:  # the last one would win
            raise csv.Error(f"column {name} is there twice")


def _json(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return "no JSON"
