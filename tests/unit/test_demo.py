"""What the demo says when it cannot go on."""

from __future__ import annotations

import asyncio
import re
import sys
from pathlib import Path

import pytest

from scripts.demo import world
from scripts.demo.__main__ import options
from scripts.demo.world import DemoError, running_world
from tests.support.ports import silent_port


@pytest.mark.parametrize(
    ("arguments", "hint"),
    [
        (("--creators", "0"), "an even number from 2 on"),
        (("--creators", "-4"), "an even number from 2 on"),
        (("--creators", "7"), "an even number from 2 on"),
        (("--limit-factor", "0"), "must be above 0"),
        (("--limit-factor", "nan"), "must be above 0"),
    ],
    ids=" ".join,
)
def test_what_would_compare_nothing_is_refused(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], hint: str
) -> None:
    monkeypatch.setattr(sys, "argv", ["demo", *arguments])
    with pytest.raises(SystemExit) as left:
        options()
    assert (left.value.code, hint in capsys.readouterr().err) == (2, True)


async def test_a_database_that_is_away_is_said_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("PGBOUNCER_URL", "REDIS_URL", "RMQ_URL", "AWS_BUCKET"):
        monkeypatch.setenv(name, "any")
    with silent_port() as port:
        monkeypatch.setenv("PG_URL", f"postgresql://beat@127.0.0.1:{port}/beat")
        with pytest.raises(DemoError, match="PG_URL: a database beat_demo cannot be made there: Connect call failed"):
            async with running_world(2, 1.0, ()):
                pass


async def test_a_program_that_ends_at_its_start_is_named_with_what_it_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(world, "LOGS", tmp_path)
    (tmp_path / "demo-main.log").write_text("settings are wrong:\n  API_PORT: no number\n")
    gone = await asyncio.create_subprocess_exec(sys.executable, "-c", "")
    await gone.wait()
    with silent_port() as port, pytest.raises(DemoError, match=re.escape("main.py has ended:\nsettings are wrong:")):
        await asyncio.wait_for(world._answers(f"http://127.0.0.1:{port}/readyz", {"main.py": gone}), 10)
