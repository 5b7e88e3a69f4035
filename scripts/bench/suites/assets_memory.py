"""Memory of the asset pool at its full size, 50 processes of 100 slots, at rest and with every slot busy."""

from __future__ import annotations

import asyncio

from scripts.bench import proc
from scripts.bench.mix import clean_kind
from scripts.bench.place import Place
from scripts.bench.rows import Metric, Row, Target, row_of
from scripts.bench.uploads import SLOTS, asset_pool, fill, site, wait_until_tried

MEBI = 2**20 / 1e6
SETTLE_S = 4.0


async def suite(place: Place, *, quick: bool) -> list[Row]:
    """PSS of all processes of the pool, and what a slot adds."""
    processes, rounds = (3, 3) if quick else (50, 3)
    count = processes * SLOTS * rounds
    async with site(place) as here, asset_pool(here, processes) as pool:
        await asyncio.sleep(SETTLE_S)
        idle = _pss(pool.processes())
        await fill(place.pg, clean_kind, count)
        drain = asyncio.create_task(wait_until_tried(place.pg, 600))
        full = idle
        while not drain.done():
            full = max(full, await asyncio.to_thread(_pss, pool.processes()))
            await asyncio.sleep(0.3)
        await drain
        await here.taken()
    size = f"{processes} x {SLOTS}"
    slot = Metric("assets", f"memory per slot, {size}", "MiB", Target("<=", 2, of="value"))
    return [
        row_of(Metric("assets", f"PSS of the pool at rest, {size}", "MB"), [idle]),
        row_of(Metric("assets", f"PSS of the pool at full load, {size}", "MB"), [full]),
        row_of(slot, [(full - idle) / MEBI / (processes * SLOTS)]),
    ]


def _pss(pids: list[int]) -> float:
    return sum(proc.pss_mb(pid) for pid in pids)
