"""The least a pool of processes costs: a fork server that preloads asyncpg and uvloop, children with one connection.

``main`` with arguments URL N starts N such children, says "ready", and ends with its input. It is not run as a module,
because every child would then import it twice.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import sys
from multiprocessing.connection import Connection

import asyncpg
import uvloop


async def _child(url: str, end: Connection) -> None:
    conn = await asyncpg.connect(url, statement_cache_size=0)
    await conn.fetch("select 1")
    over = asyncio.Event()
    asyncio.get_running_loop().add_reader(end.fileno(), over.set)
    end.send_bytes(b"ready")
    await over.wait()
    conn.terminate()


def child(url: str, end: Connection) -> None:
    """Connect, and wait for the other end to close."""
    uvloop.run(_child(url, end))


def main() -> None:
    """Start the children and hold them."""
    url, count = sys.argv[1], int(sys.argv[2])
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["scripts.bench.bare"])
    pairs = [multiprocessing.Pipe() for _ in range(count)]
    processes = []
    for _, theirs in pairs:
        process = context.Process(target=child, args=(url, theirs))
        process.start()
        theirs.close()
        processes.append(process)
    for ours, _ in pairs:
        ours.recv_bytes()
    print("ready", flush=True)
    sys.stdin.read()
    for ours, _ in pairs:
        ours.close()
    for process in processes:
        process.join()
