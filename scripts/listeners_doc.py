"""``python -m scripts.listeners_doc [--check|--write]``: the table of listeners in docs/operations.md."""

from __future__ import annotations

import sys

from core.amqp.listeners import LISTENERS
from scripts.generated import Block, code, run


def table() -> str:
    """One row a queue that Beat reads."""
    rows = [
        f"| {code(one.queue)} | {code(one.exchange)} | {code(one.routing_key)} | {one.workers} × {one.prefetch} | "
        f"{code(one.handler) if one.handler else 'not built: nothing reads it'} |"
        for one in LISTENERS
    ]
    head = ["| queue | exchange | routing key | processes × messages at once | handler |", "|---|---|---|---|---|"]
    return "\n".join([*head, *rows])


LISTENERS_TABLE = Block("docs/operations.md", "listeners", "python -m scripts.listeners_doc", table)

if __name__ == "__main__":
    sys.exit(run(LISTENERS_TABLE))
