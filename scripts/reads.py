"""``python -m scripts.reads [--check|--write]``: reads.json of each source, the paths that its parsers read.

They are what the parsers look up while they read the recorded answers of tests/contract/samples. A call without a
recording of its own is read in those recordings of other calls that its parser can read.
"""

from __future__ import annotations

import argparse
import inspect
import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from core.crawler.errors import ProviderError
from core.crawler.provider import Provider
from core.drift.shape import ANY, ITEM, ROOT
from core.drift.watch import READS_FILE
from instagram.functions.retriever.crawler import INSTAGRAM
from tests.support.instagram import Recorded, data_cases


class _Object(dict[str, Any]):
    """An object of an answer that notes which of its keys are asked for; going through all of them makes it a map."""

    def __init__(self, value: dict[str, Any], at: str, noted: set[str]) -> None:
        super().__init__({key: _watched(item, _under(at, key), noted) for key, item in value.items()})
        self._at, self._noted, self._given = at, noted, value

    def get(self, key: str, default: Any = None) -> Any:
        self._noted.add(_under(self._at, key))
        return super().get(key, default)

    def __getitem__(self, key: str) -> Any:
        self._noted.add(_under(self._at, key))
        return super().__getitem__(key)

    def __contains__(self, key: object) -> bool:
        self._noted.add(_under(self._at, str(key)))
        return super().__contains__(key)

    def items(self) -> Any:
        inside = self._at + ANY
        self._noted.add(inside)
        return {key: _watched(item, inside, self._noted) for key, item in self._given.items()}.items()


class _List(list[Any]):
    """A list of an answer that notes that its items are asked for."""

    def __init__(self, value: list[Any], at: str, noted: set[str]) -> None:
        super().__init__(_watched(item, at + ITEM, noted) for item in value)
        self._at, self._noted = at, noted

    def __getitem__(self, place: Any) -> Any:
        self._noted.add(self._at + ITEM)
        return super().__getitem__(place)

    def __iter__(self) -> Iterator[Any]:
        self._noted.add(self._at + ITEM)
        return super().__iter__()


def _watched(value: Any, at: str, noted: set[str]) -> Any:
    if isinstance(value, dict):
        return _Object(value, at, noted)
    return _List(value, at, noted) if isinstance(value, list) else value


def _under(at: str, key: str) -> str:
    return f"{at}.{key}" if at else key


def paths_read() -> dict[type[Provider], dict[str, list[str]]]:
    """Source -> function -> paths, of all functions that have a parser."""
    return {
        kind: {function: sorted(_paths(kind.source, function)) for function in sorted(kind.parsers)}
        for kind in INSTAGRAM.providers.values()
    }


def _paths(source: str, function: str) -> set[str]:
    cases = data_cases()
    own = [case for case in cases if (case.source, case.function) == (source, function)]
    same = [case for case in cases if case.source == source]
    for group in (own, same, cases):
        noted = set().union(*(_read_by(source, function, case) for case in group))
        if len(noted) > 1:
            return noted
    return {ROOT}


def _read_by(source: str, function: str, case: Recorded) -> set[str]:
    """The paths that a parser looks up in a recording; none when it finds nothing there."""
    noted = {ROOT}
    reader = replace(case, source=source, function=function)
    try:
        found = reader.parse(_watched(case.body, "", noted))
    except ProviderError:
        return set()
    return noted if case == reader or _says_something(found) else set()


def _says_something(found: Any) -> bool:
    lists = [value for value in vars(found).values() if isinstance(value, list)] if hasattr(found, "__dict__") else []
    slots = getattr(type(found), "__slots__", ())
    lists += [value for name in slots if isinstance(value := getattr(found, name, None), list)]
    return not lists or any(lists)


def files() -> dict[Path, str]:
    """Each file and the text that it should have."""
    return {
        Path(inspect.getfile(kind)).with_name(READS_FILE): json.dumps(functions, indent=1) + "\n"
        for kind, functions in paths_read().items()
    }


def main(argv: Sequence[str] | None = None) -> int:
    """Print, check or write the files. Exit code 1: one is not current."""
    parser = argparse.ArgumentParser(prog="python -m scripts.reads", description=__doc__)
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--check", action="store_true", help="exit 1 when a file differs from the parsers")
    what.add_argument("--write", action="store_true", help="bring the files up to date")
    chosen = parser.parse_args(argv)
    stale = 0
    for path, text in files().items():
        if chosen.write:
            path.write_text(text, encoding="utf-8")
        elif not chosen.check:
            print(f"{path}\n{text}")
        elif not path.is_file() or path.read_text(encoding="utf-8") != text:
            print(f"{path} is not current: run python -m scripts.reads --write", file=sys.stderr)
            stale = 1
    return stale


if __name__ == "__main__":
    sys.exit(main())
