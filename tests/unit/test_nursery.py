"""How long a dead child's seat stays empty, and when a dead child is freed."""

from __future__ import annotations

import asyncio
import threading
import time
from types import SimpleNamespace
from typing import Any, cast

from core.queue.children import MAX_PAUSE_S, YOUNG_S, Child, Ears, Nursery
from core.queue.plan import ProcessSpec

NOTHING = cast("Any", None)
NO_PID = 2**22 + 1


def child(seat: int, *, age_s: float = 0.0, process: object = None) -> Child:
    born = time.monotonic() - age_s
    return Child(ProcessSpec("f"), seat, 1, cast("Any", process), NO_PID, NOTHING, born, born, set())


def test_a_seat_whose_children_die_young_waits_longer_each_time_until_one_has_lived() -> None:
    nursery = Nursery(NOTHING, NOTHING, "", NOTHING)
    assert [nursery.pause_before(child(0)) for _ in range(4)] == [0.0, 1.0, 2.0, 4.0]
    assert nursery.pause_before(child(1)) == 0.0, "another seat"
    assert [nursery.pause_before(child(0)) for _ in range(8)][-1] == MAX_PAUSE_S
    assert nursery.pause_before(child(0, age_s=YOUNG_S + 1)) == 0.0
    assert [nursery.pause_before(child(0)) for _ in range(2)] == [0.0, 1.0]


async def test_a_dead_child_is_known_at_once_and_freed_when_no_other_one_is_being_started() -> None:
    """The start would fail: it looks at every process that is not freed, in a thread of its own."""
    begun, may_end, deaths, freed = threading.Event(), threading.Event(), asyncio.Event(), asyncio.Event()

    def start() -> None:
        begun.set()
        may_end.wait(60)

    context: Any = SimpleNamespace(Process=lambda **_: SimpleNamespace(start=start, pid=None))
    nursery = Nursery(context, NOTHING, "", Ears(NOTHING, lambda _: deaths.set()))
    async with asyncio.timeout(60):
        starting = asyncio.create_task(nursery.start(ProcessSpec("f"), 0, 2))
        await asyncio.to_thread(begun.wait)
        nursery._watch(child(1, process=SimpleNamespace(join=lambda **_: None, close=freed.set)))
        await deaths.wait()
        await asyncio.sleep(0.1)
        assert not freed.is_set()
        may_end.set()
        (await starting).link.close()
        await freed.wait()
