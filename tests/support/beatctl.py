"""The operator's tool, run in this process."""

from __future__ import annotations

import asyncio
import io
from collections.abc import Awaitable, Callable
from typing import NamedTuple

import pytest

from scripts.beatctl.__main__ import main


class Ran(NamedTuple):
    """How a command ended."""

    code: int
    out: str
    err: str


Run = Callable[..., Awaitable[Ran]]


def runner(env: dict[str, str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *noun: str) -> Run:
    """Runs a command, of this noun if one is named, in a thread of its own, with this environment and a call's own."""

    async def run(*arguments: str, stdin: str = "", **variables: str) -> Ran:
        with monkeypatch.context() as patch:
            for name, value in {**env, **variables}.items():
                patch.setenv(name, value)
            patch.setattr("sys.stdin", io.StringIO(stdin))
            try:
                code = await asyncio.to_thread(main, [*noun, *arguments])
            except SystemExit as left:
                code = int(left.code or 0)
        out, err = capsys.readouterr()
        return Ran(code, out, err)

    return run
