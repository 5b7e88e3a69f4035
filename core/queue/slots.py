"""Caps of flows over all hosts: slots are leased to processes, so that no claim has to count what runs elsewhere.

A process may use what it holds in beat_slot. Its fair share follows from the living processes of the flow. Who holds
more gives back once it runs no more than that, who holds less takes what is free. So the leases never add up to more
than the cap, also while processes come and go.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

Held = tuple[int, str]
"""A worker and a flow."""


@dataclass(frozen=True, slots=True)
class Cap:
    """A capped flow: its slots, and what each living worker of it holds, by id (None: nothing yet). ``yielding``
    workers are to have none."""

    slots: int
    workers: tuple[tuple[int, int | None], ...]
    yielding: frozenset[int] = frozenset()

    def share(self, worker: int) -> int:
        """The fair share of one worker; the lowest ids get what cannot be divided."""
        ids = [one for one, _ in self.workers if one not in self.yielding]
        if worker not in ids:
            return 0
        even, rest = divmod(max(0, self.slots), len(ids))
        return even + (ids.index(worker) < rest)


@dataclass(frozen=True, slots=True)
class Lease:
    """How many slots of a flow a worker is to hold."""

    worker: int
    flow: str
    slots: int


class SlotLeases:
    """What the processes of this host hold of capped flows, and what they were told."""

    def __init__(self) -> None:
        self._caps: Mapping[str, Cap] = {}
        self._held: dict[Held, int] = {}
        self._told: dict[Held, int] = {}
        self._confirmed: dict[Held, int] = {}

    def see(self, caps: Mapping[str, Cap]) -> None:
        """What the database says now."""
        self._caps = caps
        self._held = {(worker, flow): has or 0 for flow, cap in caps.items() for worker, has in cap.workers}
        self._told = {key: told for key, told in self._told.items() if key in self._held}

    def missing(self, workers: Iterable[int]) -> list[Lease]:
        """What these workers should hold and do not yet."""
        shares = [Lease(worker, flow, cap.share(worker)) for worker in workers for flow, cap in self._caps.items()]
        return [lease for lease in shares if lease.slots > self._held.get((lease.worker, lease.flow), 0)]

    def granted(self, leases: Iterable[Lease]) -> None:
        """The database gave these."""
        self._held |= {(lease.worker, lease.flow): lease.slots for lease in leases}

    def allowed(self, worker: int, flows: Iterable[str]) -> dict[str, int]:
        """Slots that a worker may use now, of those of its flows that have a cap."""
        return {
            flow: min(self._held.get((worker, flow), 0), self._caps[flow].share(worker))
            for flow in flows
            if flow in self._caps
        }

    def told(self, worker: int, slots: Mapping[str, int], *, heard: bool) -> None:
        """A worker was told so; one that may not have heard it may still use what it was told before."""
        for flow, allowed in slots.items():
            before = self._told.get((worker, flow), 0)
            self._told[worker, flow] = allowed if heard else max(allowed, before)

    def must_give_back(self, worker: int) -> bool:
        """Whether the worker holds more than its share."""
        return any(
            self._held.get((worker, flow), 0) > cap.share(worker)
            for flow, cap in self._caps.items()
            if (worker, flow) in self._held
        )

    def confirm(self, worker: int, flow: str, slots: int) -> None:
        """A worker says that it runs no more than so many, and will not until it is told otherwise."""
        self._confirmed[worker, flow] = slots

    def given_back(self) -> list[Lease]:
        """Leases to lower, once: those confirmed by workers that were not told another number meanwhile."""
        confirmed, self._confirmed = self._confirmed, {}
        return [
            Lease(worker, flow, slots)
            for (worker, flow), slots in confirmed.items()
            if self._held.get((worker, flow), 0) > slots >= self._told.get((worker, flow), 0)
        ]
