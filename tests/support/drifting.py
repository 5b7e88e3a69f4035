"""``python -m tests.support.drifting SOURCE FUNCTION ID...``: a process that asks one source and ends.

Its log is on standard error; standard output is one JSON object: what it counted, and how its calls ended.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections import Counter
from collections.abc import Sequence

from config import load_settings
from core.crawler.errors import ProviderError
from core.crawler.provider import Asked, Function
from core.metrics import COUNTS
from credentials.runtime import build_runtime
from instagram.functions.retriever.crawler import instagram_sources
from utils.logging import configure


async def main(source: str, function: str, ids: Sequence[str]) -> None:
    """Ask for each id, a few at a time."""
    configure("WARNING", "json")
    runtime = build_runtime(load_settings())
    asked: Function[object] = Function(function)
    crawler = runtime.crawler(instagram_sources())
    ends: Counter[str] = Counter()

    async def one(profile_id: str) -> None:
        try:
            await crawler.fetch(asked, Asked(profile_id=profile_id), source=source)
            ends["ok"] += 1
        except ProviderError as error:
            ends[error.word] += 1

    for start in range(0, len(ids), 4):
        await asyncio.gather(*map(one, ids[start : start + 4]))
    await runtime.aclose()
    print(json.dumps({"counts": COUNTS.take(), "ends": ends}))


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2], sys.argv[3:]))
