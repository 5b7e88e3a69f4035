"""What a supervisor tells its children, also one that reads nothing for a while."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any, cast

from core.queue.children import Child
from core.queue.plan import ProcessSpec
from core.queue.roster import Roster
from core.queue.upkeep import FlowControl


@dataclass
class FakeLink:
    """A link whose other end may have stopped reading."""

    full: bool = False
    heard: list[tuple[str, ...]] = field(default_factory=list)

    def tell(self, *words: str) -> bool:
        if not self.full:
            self.heard.append(words)
        return not self.full


def test_a_child_that_could_not_be_told_of_a_pause_is_told_as_soon_as_it_reads_again() -> None:
    link = FakeLink()
    child = Child(ProcessSpec("f", (("f", 5),), 5), 0, 1, cast("Any", None), 4711, cast("Any", link), 0.0, 0.0, set())
    roster = Roster({1: child})
    roster.add(child)
    link.full = True
    changed, _ = roster.see(FlowControl(paused=frozenset({"f"})))
    roster.tell(changed=changed)
    link.full = False
    for _ in range(2):  # the next looks see nothing new
        changed, _ = roster.see(FlowControl(paused=frozenset({"f"})))
        roster.tell(changed=changed)
    told = [json.loads(words[1])["paused"] for words in link.heard if words[0] == "control"]
    assert told == [[], ["f"]]


def test_work_that_no_child_was_free_for_goes_to_the_first_that_is() -> None:
    link = FakeLink()
    child = Child(ProcessSpec("f", (("f", 5),), 5), 0, 1, cast("Any", None), 4711, cast("Any", link), 0.0, 0.0, {"f"})
    roster = Roster({1: child})
    roster.add(child)
    roster.wake("f")
    assert ("wake", "f") not in link.heard
    for _ in range(2):
        roster.idle(child)
    assert link.heard.count(("wake", "f")) == 1
