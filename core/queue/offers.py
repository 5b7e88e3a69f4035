"""What one process may claim next: flows with work, less what is paused, capped or taken."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from core.queue.plan import ProcessSpec


class Offers:
    """The free slots of a process, per flow. Not more than the process has in all, nor than a flow has of its own."""

    def __init__(self, spec: ProcessSpec) -> None:
        self._total = spec.total_slots
        self._slots = dict(spec.slots)
        self._hot = dict.fromkeys(self._slots)  # flows that may have work, in order
        self._paused: frozenset[str] = frozenset()
        self._shares: dict[str, int] = {}
        self._unconfirmed: dict[str, int] = {}

    @property
    def hot(self) -> bool:
        """Whether some flow may have work."""
        return bool(self._hot)

    def heat(self, flows: Iterable[str]) -> bool:
        """There may be work for these flows; False when none of them is ours."""
        ours = [flow for flow in flows if flow in self._slots]
        self._hot.update(dict.fromkeys(ours))
        return bool(ours)

    def heat_all(self) -> None:
        """There may be work for any flow."""
        self._hot = dict.fromkeys(self._slots)

    def cool(self, flows: Iterable[str]) -> None:
        """These flows are being asked for."""
        for flow in flows:
            self._hot.pop(flow, None)

    def control(self, paused: frozenset[str], shares: dict[str, int]) -> None:
        """Flows that must not be claimed, and leased slots of flows that have a cap."""
        more = {flow for flow, before in self._shares.items() if shares.get(flow, before + 1) > before}
        self.heat((self._paused - paused) | more)
        self._paused, self._shares, self._unconfirmed = paused, shares, dict(shares)

    def free(self, used: Mapping[str, int], also: Iterable[str]) -> dict[str, int]:
        """Slots to offer per flow: of hot flows, and of those that finished tasks leave (``also``)."""
        left = self._total - sum(used.values())
        free: dict[str, int] = {}
        for flow in dict.fromkeys([*self._hot, *also]):
            slots = self._slots.get(flow, 0)
            offer = min(left, min(slots, self._shares.get(flow, slots)) - used.get(flow, 0))
            if offer > 0 and flow not in self._paused:
                free[flow] = offer
                left -= offer
        return free

    def confirmed(self, running: Callable[[], Mapping[str, int]]) -> list[tuple[str, int]]:
        """Leased slots that are enough, as long as no statement is in flight that could claim more; each once."""
        if not self._unconfirmed:
            return []
        used = running()
        enough = [(flow, share) for flow, share in self._unconfirmed.items() if used.get(flow, 0) <= share]
        for flow, _ in enough:
            del self._unconfirmed[flow]
        return enough

    def unconfirm(self, flow: str, share: int) -> None:
        """The supervisor did not hear it: it is to be said again."""
        self._unconfirmed[flow] = share
