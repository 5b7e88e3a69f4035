"""How long a dead child's seat stays empty."""

from __future__ import annotations

import time
from typing import Any, cast

from core.queue.children import MAX_PAUSE_S, YOUNG_S, Child, Nursery
from core.queue.plan import ProcessSpec

NOTHING = cast("Any", None)


def child(seat: int, *, age_s: float = 0.0) -> Child:
    born = time.monotonic() - age_s
    return Child(ProcessSpec("f"), seat, 1, NOTHING, 4711, NOTHING, born, born, set())


def test_a_seat_whose_children_die_young_waits_longer_each_time_until_one_has_lived() -> None:
    nursery = Nursery(NOTHING, NOTHING, "", NOTHING)
    assert [nursery.pause_before(child(0)) for _ in range(4)] == [0.0, 1.0, 2.0, 4.0]
    assert nursery.pause_before(child(1)) == 0.0, "another seat"
    assert [nursery.pause_before(child(0)) for _ in range(8)][-1] == MAX_PAUSE_S
    assert nursery.pause_before(child(0, age_s=YOUNG_S + 1)) == 0.0
    assert [nursery.pause_before(child(0)) for _ in range(2)] == [0.0, 1.0]
