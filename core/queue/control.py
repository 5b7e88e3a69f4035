"""An operator's word on flows, in the table beat_flow. Supervisors follow it within about a second."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from typing import Any

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

_SET = "insert into beat_flow (flow, {names}) values (:flow, {values}) on conflict (flow) do update set {changes}"
_CLEAR = "delete from beat_flow where flow = any(cast(:flows as text[]))"


class UnknownFlow(Exception):
    """The registry has no flow of that name."""


async def set_flow(session: AsyncSession, known: Collection[str], flow: str, **values: Any) -> None:
    """Set columns of a flow and leave the others; None leaves one to the registry.

    Raises:
        UnknownFlow: it is none of the ``known`` flows.
    """
    _check(known, [flow])
    statement = _SET.format(
        names=", ".join(values),
        values=", ".join(f":{name}" for name in values),
        changes=", ".join(f"{name} = excluded.{name}" for name in values),
    )
    await session.execute(text(statement), {"flow": flow, **values})


async def pause_flows(session: AsyncSession, known: Collection[str], flows: Sequence[str], *, paused: bool) -> None:
    """Stop claiming tasks of these flows, or go on with it; running tasks go on.

    Raises:
        UnknownFlow: one is none of the ``known`` flows; no flow was changed.
    """
    _check(known, flows)
    for flow in flows:
        await set_flow(session, known, flow, paused=paused)


async def reset_flows(session: AsyncSession, flows: Sequence[str]) -> None:
    """Leave flows to the registry, and end their pauses; also names that it no longer holds."""
    await session.execute(text(_CLEAR), {"flows": list(flows)})


def _check(known: Collection[str], flows: Iterable[str]) -> None:
    unknown = [flow for flow in flows if flow not in known]
    if unknown:
        raise UnknownFlow(f"there is no flow {', '.join(unknown)}; see docs/flows.md for the names")
