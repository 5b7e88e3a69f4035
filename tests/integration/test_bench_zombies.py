"""The zombie bench, on a small scale: without the fence it must find what it looks for."""

from __future__ import annotations

import pytest

from scripts.bench.place import place
from scripts.bench.suites import zombies
from tests.support import fence


@pytest.mark.alone  # the bench's lease is 0.3 s: a host that has to wait for the processor is declared lost
@pytest.mark.parametrize(
    ("flows", "fenced"), [("scripts.bench.flows", True), ("tests.support.bench_without_fence", False)]
)
async def test_reports_of_a_frozen_host_are_counted_as_accepted_only_without_the_fence(
    stack_env: dict[str, str], monkeypatch: pytest.MonkeyPatch, flows: str, fenced: bool
) -> None:
    monkeypatch.setattr(zombies, "MODULE", flows)
    async with place() as here, fence.taken_away(here.pg):
        (row,) = await zombies.suite(here, quick=True, trials=50)
    assert row.metric.startswith("T13 zombie reports accepted")
    assert (row.value == 0) is fenced
    assert row.met is fenced
