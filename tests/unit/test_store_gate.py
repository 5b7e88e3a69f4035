"""Uploads wait while the object store is away."""

from __future__ import annotations

import asyncio
from contextlib import nullcontext
from typing import Any

import pytest

from core.assets import gate as module
from core.assets.gate import StoreGate
from core.assets.uploader import Uploader
from core.client.errors import MediaError, MediaRefused, StoreUnavailable
from core.client.upload_assets import Uploaded
from tests.support.uploads import asset

AWAY = StoreUnavailable("STORE_DOWN", "connection refused")


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "FIRST_S", 0.02)
    monkeypatch.setattr(module, "LOOK_S", 0.005)


async def test_an_open_gate_lets_everybody_pass_at_once() -> None:
    gate = StoreGate()
    assert [await gate.passage() for _ in range(3)] == [False] * 3


async def test_of_those_who_wait_one_tries_and_its_success_lets_the_others_pass() -> None:
    gate = StoreGate()
    gate.shut(AWAY)
    waiting = [asyncio.create_task(gate.passage()) for _ in range(5)]
    await asyncio.sleep(0.1)
    assert [task.result() for task in waiting if task.done()] == [True]
    gate.tried()
    gate.open()
    assert sorted(await asyncio.gather(*waiting)) == [False] * 4 + [True]


async def test_whoever_tried_in_vain_for_another_reason_leaves_the_next_one_to_try() -> None:
    gate = StoreGate()
    gate.shut(AWAY)
    assert await gate.passage()
    gate.tried()
    assert await asyncio.wait_for(gate.passage(), 1)


async def test_whoever_tries_for_long_does_not_keep_the_next_one_from_trying(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "TRIAL_S", 0.05, raising=False)
    gate = StoreGate(patience_s=1)
    gate.shut(AWAY)
    assert await gate.passage()
    assert await gate.passage()


async def test_uploads_that_fail_together_lengthen_the_pause_once() -> None:
    gate = StoreGate()
    for _ in range(100):
        gate.shut(AWAY)
    assert await asyncio.wait_for(gate.passage(), 0.5)


async def test_the_pause_grows_up_to_a_longest_and_is_short_again_after_a_success(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "LONGEST_S", 0.05)
    gate, pauses = StoreGate(), []
    for _ in range(5):
        gate.shut(AWAY)
        pauses.append(gate._pause_s)
        assert await gate.passage()
        gate.tried()
    assert pauses == [0.04, 0.05, 0.05, 0.05, 0.05]
    gate.open()
    gate.shut(AWAY)
    assert gate._pause_s == 0.04


async def test_a_store_that_stays_away_sends_tasks_back_to_the_queue() -> None:
    gate = StoreGate(patience_s=0.05)
    gate.shut(AWAY)
    assert await gate.passage()
    with pytest.raises(StoreUnavailable) as refusal:
        await gate.passage()
    assert refusal.value.code == "STORE_DOWN"


class Both:
    """Stands for the media client and the table: nothing was copied yet, and uploads end one after the other so."""

    def __init__(self, *ends: Uploaded | MediaError) -> None:
        self.ends = list(ends)

    async def find(self, *_: object) -> None:
        return None

    async def record(self, *_: object) -> None:
        return None

    async def upload(self, *_: object) -> Uploaded:
        end = self.ends.pop(0)
        if isinstance(end, MediaError):
            raise end
        return end


def uploader_of(*ends: Uploaded | MediaError) -> Uploader:
    both: Any = Both(*ends)
    return Uploader(both, both)


@pytest.mark.parametrize(
    ("end", "opens"),
    [
        (Uploaded("k", "image/jpeg", 9, None, None, "0" * 64, not_modified=False), True),
        (Uploaded("k", "image/jpeg", 0, None, None, None, not_modified=True), False),
        (MediaRefused("TOO_LARGE", "more"), False),
    ],
)
async def test_only_what_the_store_took_opens_the_gate_and_whoever_ends_leaves_the_next_one_to_try(
    end: Uploaded | MediaError, *, opens: bool
) -> None:
    uploader = uploader_of(end)
    uploader.gate.shut(AWAY)
    with pytest.raises(MediaError) if isinstance(end, MediaError) else nullcontext():
        await uploader.copy(asset("a", "https://cdn.example/a.jpg", 1))
    assert await asyncio.wait_for(uploader.gate.passage(), 1) is not opens


@pytest.mark.parametrize(
    ("code", "shut"), [("SPOOL_FULL", False), ("LARGE_SLOW", False), ("STORE_DOWN", True), ("STORE_SLOW", True)]
)
async def test_what_large_files_wait_for_holds_no_picture_up(code: str, shut: bool) -> None:
    uploader = uploader_of(StoreUnavailable(code, "no"))
    with pytest.raises(StoreUnavailable):
        await uploader.copy(asset("a", "https://cdn.example/a.jpg", 1))
    assert await uploader.gate.passage() is shut
