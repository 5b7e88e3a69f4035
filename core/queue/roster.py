"""Which child to wake for a flow, and what each child was told about pauses, limits and slots."""

from __future__ import annotations

import contextlib
from collections import deque
from collections.abc import Iterable, KeysView, Mapping

from core.queue.children import Child
from core.queue.slots import Lease, SlotLeases
from core.queue.upkeep import FlowControl


class Roster:
    """The children of one supervisor by flow. ``children`` is the nursery's own mapping of the living ones."""

    def __init__(self, children: Mapping[int, Child]) -> None:
        self._children = children
        self._by_flow: dict[str, deque[int]] = {}
        self._unmet: set[str] = set()
        self._slots = SlotLeases()
        self.control = FlowControl()

    @property
    def flows(self) -> KeysView[str]:
        """Flows that this host serves."""
        return self._by_flow.keys()

    def add(self, child: Child) -> None:
        """A child has started: it works from its first word of control on."""
        for flow in child.spec.flows:
            self._by_flow.setdefault(flow, deque()).append(child.worker)
        self._tell_control(child)

    def remove(self, child: Child) -> None:
        """A child has died."""
        for flow in child.spec.flows:
            with contextlib.suppress(ValueError):
                self._by_flow[flow].remove(child.worker)

    # -- wake-ups -----------------------------------------------------------------------------------------------------

    def wake(self, flow: str) -> None:
        """One word to one child that is not busy with the flow; the chain goes on when its claim comes back full."""
        workers = self._by_flow.get(flow, deque())
        for _ in range(len(workers)):
            workers.rotate(-1)
            child = self._children.get(workers[-1])
            if child is not None and self._free_for(child, flow) and child.link.tell("wake", flow):
                child.busy.add(flow)
                return
        self._unmet.add(flow)

    def idle(self, child: Child) -> None:
        """A child's last claim came back short: it hears of work that nobody could be woken for."""
        child.busy.clear()
        for flow in self._unmet.intersection(child.spec.flows):
            self._unmet.discard(flow)
            self.wake(flow)

    def full(self, child: Child, flows: Iterable[str]) -> None:
        """A child found more work of these flows than it could take."""
        child.busy = set(flows)
        for flow in list(child.busy):
            self.wake(flow)

    def claimable(self, flow: str) -> bool:
        """Whether a probe for the flow could lead to anything: not paused, and somebody who might take more."""
        if flow in self.control.paused:
            return False
        return any(self._free_for(self._children[w], flow) for w in self._by_flow[flow] if w in self._children)

    def _free_for(self, child: Child, flow: str) -> bool:
        return flow not in child.busy and self._slots.allowed(child.worker, (flow,)).get(flow) != 0

    # -- control ------------------------------------------------------------------------------------------------------

    def confirm(self, child: Child, flow: str, slots: int) -> None:
        """A child runs no more than so many tasks of a capped flow, and will not until it is told otherwise."""
        self._slots.confirm(child.worker, flow, slots)

    def given_back(self) -> list[Lease]:
        """Leases that children no longer use, once."""
        return self._slots.given_back()

    def see(self, control: FlowControl) -> tuple[bool, list[Lease]]:
        """Take what operators want now: whether it is new, and the slots that children lack."""
        changed, self.control = control != self.control, control
        self._slots.see(control.caps)
        return changed, self._slots.missing(self._children)

    def granted(self, leases: Iterable[Lease]) -> None:
        """The database gave these slots."""
        self._slots.granted(leases)

    def tell(self, *, changed: bool) -> None:
        """Pass on what is new; who did not hear the last word is told again, and who holds more than its share."""
        for child in list(self._children.values()):
            if changed or not child.told or self._slots.must_give_back(child.worker):
                self._tell_control(child)

    def _tell_control(self, child: Child) -> None:
        slots = self._slots.allowed(child.worker, child.spec.flows)
        text = self.control.as_json(child.spec.flows, slots)
        if text != child.told or self._slots.must_give_back(child.worker):
            heard = child.link.tell("control", text)
            self._slots.told(child.worker, slots, heard=heard)
            child.told = text if heard else ""
