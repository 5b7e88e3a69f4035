"""A worker's runtime against the sandbox, with credentials of some sources, to run flows in the test's own process."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime

import pytest

from config import load_settings
from core.runtime import FlowContext
from credentials.manager import CredentialManager
from credentials.runtime import build_runtime
from tests.support.sandbox import Sandbox


@asynccontextmanager
async def flow_context(
    sandbox: Sandbox,
    env: dict[str, str],
    monkeypatch: pytest.MonkeyPatch,
    sources: Sequence[str],
    *,
    pause_factor: float = 0.0,
) -> AsyncIterator[FlowContext]:
    """What a flow is run with; only ``sources`` have credentials."""
    more = {"PROVIDER_SANDBOX_URL": sandbox.url, "RATE_WAIT_S": "30", "PAGE_PAUSE_FACTOR": str(pause_factor)}
    for name, value in {**env, **more}.items():
        monkeypatch.setenv(name, value)
    runtime = build_runtime(load_settings(), pool_size=5)
    assert isinstance(runtime.credentials, CredentialManager)
    for source in sources:
        for credential in sandbox.credentials[source]:
            await runtime.credentials.insert_creds(source, credential.credentials, handle=credential.handle)
    yield FlowContext(runtime, None, datetime.fromtimestamp(sandbox.universe.now, UTC))
    await runtime.aclose()
