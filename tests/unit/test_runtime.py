"""What a process's clients are told by the settings."""

from __future__ import annotations

import pytest

from config import load_settings
from credentials.runtime import build_runtime, http_options
from credentials.vault import new_key
from tests.support.ports import silent_port
from utils.rate_limit import Level, Limit, LimitExceeded
from utils.request import Timeouts


@pytest.mark.parametrize(("factor", "processes", "share"), [(1.0, 4, 3), (1.0, 1, 12), (2.0, 4, 6)])
async def test_a_process_without_redis_takes_its_share_of_the_limits(
    monkeypatch: pytest.MonkeyPatch, factor: float, processes: int, share: int
) -> None:
    monkeypatch.setenv("EXPECTED_PROCESSES", str(processes))
    monkeypatch.setenv("DEMO_LIMIT_FACTOR", str(factor))
    monkeypatch.setenv("PROVIDER_SANDBOX_URL", "http://127.0.0.1:1")
    monkeypatch.setenv("BEAT_KEYS", new_key("test"))
    with silent_port() as port:
        monkeypatch.setenv("REDIS_URL", f"redis://127.0.0.1:{port}/0")
        runtime = build_runtime(load_settings())
        level = Level("source", Limit(12, 3600, sliding=True))
        for _ in range(share):
            await runtime.limiter.acquire([level], max_wait_s=0)
        with pytest.raises(LimitExceeded):
            await runtime.limiter.acquire([level], max_wait_s=0)
    await runtime.aclose()


def test_the_outbound_client_is_bounded_as_the_settings_say(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (("CONNECT_TIMEOUT_S", 1), ("READ_TIMEOUT_S", 2), ("TOTAL_TIMEOUT_S", 3), ("MAX_BODY_MB", 4)):
        monkeypatch.setenv(f"HTTP_{name}", str(value))
    monkeypatch.setenv("PROVIDER_SANDBOX_URL", "http://127.0.0.1:1")
    options = http_options(load_settings())
    assert options.timeouts == Timeouts(connect=1, read=2, total=3)
    assert (options.max_body_bytes, options.sandbox_url) == (4 * 2**20, "http://127.0.0.1:1")
