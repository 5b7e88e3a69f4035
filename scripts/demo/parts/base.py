"""What the demo does beside its main job, one module per part.

A part is a module with what ``Part`` names; list it in ``PARTS``. Its tasks are queued once all profiles are stored,
and it compares what they left with the simulator's universe. A new kind of rows needs an expectation in tests/sandbox
that imports nothing of Beat.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import asyncpg

from scripts.demo.check import Verdict
from scripts.demo.world import World
from tests.sandbox.universe import Universe


@dataclass(frozen=True)
class Task:
    """One task; ``code``: with what it must fail, None when it must complete."""

    flow: str
    params: Mapping[str, Any]
    code: int | None = None


@dataclass(frozen=True)
class Scene:
    """What a part may look at when its tasks have ended; ``creators`` of the universe were refreshed."""

    world: World
    pg: asyncpg.Connection
    universe: Universe
    creators: int


class Part(Protocol):
    """A part of the demo; a module is one."""

    @property
    def NAME(self) -> str:  # noqa: N802 - a module's constant
        """Its line in the table."""

    @property
    def FLOWS(self) -> tuple[str, ...]:  # noqa: N802
        """The flows of its tasks; the workers run no others."""

    def tasks(self, universe: Universe, creators: int) -> Sequence[Task]:
        """What to queue."""

    def events(self, universe: Universe, creators: int) -> Mapping[str, int]:
        """Routing key -> how many messages its tasks must have caused; of keys that no other part has a share in."""

    async def compare(self, scene: Scene, verdict: Verdict) -> None:
        """Note every difference between what is stored and what should be."""
