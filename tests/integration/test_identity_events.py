"""Events of the identity service: tokens that come, go, repeat and come late."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import asyncpg
import pytest
from pydantic import ValidationError

from config import Settings
from core.amqp.models import Refused
from core.runtime import FlowContext
from credentials.listener import NewAccessToken, upsert_credential_from_identity
from credentials.manager import CredentialManager
from credentials.runtime import build_runtime
from utils.times import utc_now

KEYS = {"token": "EXAMPLE-first", "token_type": "bearer", "user_id": "17841400000000001", "refresh_token": None}
EVENT: dict[str, Any] = {
    "event": "new_access_token", "event_id": "e-1", "version": 1, "occurred_at": "2024-05-10T12:30:11Z",
    "source": "instagram_graph", "handle": "@Lena.Example", "profile_id": "17841400000000001", "account_id": "a-1",
    "credentials": KEYS, "scopes": ["instagram_basic"], "expires_at": None, "status": "active",
}  # fmt: skip
NEWER = EVENT | {
    "event_id": "e-2", "occurred_at": "2024-05-10T18:00:12+05:30", "credentials": KEYS | {"token": "EXAMPLE-second"},
}  # fmt: skip
REVOKED = EVENT | {
    "event_id": "e-3", "occurred_at": 1_715_344_213, "credentials": KEYS | {"token": None}, "status": "revoked",
}  # fmt: skip
LATEST = NEWER | {"event_id": "e-4", "occurred_at": "2024-05-10T12:30:14", "credentials": KEYS | {"token": "EXAMPLE-4"}}


@pytest.fixture
async def ctx(settings: Settings) -> AsyncIterator[FlowContext]:
    runtime = build_runtime(settings)
    yield FlowContext(runtime, None, utc_now())
    await runtime.aclose()


async def hear(ctx: FlowContext, *events: dict[str, Any]) -> None:
    for event in events:
        await upsert_credential_from_identity(NewAccessToken.model_validate(event), ctx)


async def state(ctx: FlowContext) -> tuple[str, str]:
    manager = ctx.runtime.credentials
    assert isinstance(manager, CredentialManager)
    (stored,) = await manager.stored("graphapi", handle="lena.example")
    (listed,) = await manager.list("graphapi")
    return stored.keys["token"], listed.state


@pytest.mark.parametrize(
    ("events", "token", "word"),
    [
        ([EVENT], "EXAMPLE-first", "usable"),
        ([EVENT, NEWER], "EXAMPLE-second", "usable"),
        ([NEWER, EVENT], "EXAMPLE-second", "usable"),
        ([NEWER, REVOKED], "EXAMPLE-second", "refused until replaced"),
        ([EVENT, REVOKED, NEWER], "EXAMPLE-first", "refused until replaced"),
        ([EVENT, REVOKED, REVOKED, LATEST], "EXAMPLE-4", "usable"),
        ([EVENT, LATEST, REVOKED], "EXAMPLE-4", "usable"),
        ([REVOKED, LATEST], "EXAMPLE-4", "usable"),
    ],
)
async def test_what_was_said_last_counts(
    ctx: FlowContext, pg: asyncpg.Connection, events: list[dict[str, Any]], token: str, word: str
) -> None:
    await hear(ctx, *events)
    assert await state(ctx) == (token, word)


async def test_sealing_anew_keeps_when_it_was_said(ctx: FlowContext, pg: asyncpg.Connection) -> None:
    await hear(ctx, NEWER)
    await pg.execute("""update credential set credentials = credentials || '{"kid": "other"}'""")
    manager = ctx.runtime.credentials
    assert isinstance(manager, CredentialManager)
    before = await pg.fetchval("select credentials->>'said_at' from credential")
    await manager.insert_creds("graphapi", {"user_id": KEYS["user_id"], "token": "EXAMPLE-by-hand"})
    assert before == await pg.fetchval("select credentials->>'said_at' from credential") == "2024-05-10T12:30:12+00:00"


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"source": "myspace"}, "unknown_source"),
        ({"source": ["instagram_graph"]}, "unknown_source"),
        ({"credentials": None}, "missing_credentials"),
        ({"credentials": {"token": "x"}, "profile_id": None}, "socialUserId"),
        ({"occurred_at": "yesterday"}, "occurred_at"),
        ({"handle": "a\x00b"}, "handle"),
    ],
)
def test_what_cannot_be_a_token_is_refused(changes: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        NewAccessToken.model_validate(EVENT | changes)


def test_only_an_event_may_withdraw() -> None:
    flat = {"handle": "a", "socialUserId": "1", "graphAccessToken": None, "platform": "INSTAGRAM", "is_event": True}
    with pytest.raises(ValidationError, match="graphAccessToken"):
        NewAccessToken.model_validate(flat)


@pytest.mark.parametrize("changes", [{"status": "revoked"}, {"credentials": KEYS | {"token": None}}])
def test_a_token_is_withdrawn_by_its_status_or_by_its_absence(changes: dict[str, Any]) -> None:
    assert NewAccessToken.model_validate(EVENT).token is not None
    assert NewAccessToken.model_validate(EVENT | changes).token is None


def test_a_message_by_the_old_names_may_have_an_id_too() -> None:
    flat = {"handle": "a", "socialUserId": 1, "graphAccessToken": "EXAMPLE", "platform": "instagram", "event_id": "e-1"}
    read = NewAccessToken.model_validate(flat)
    assert (read.is_event, read.user_id, read.platform, read.occurred_at) == (False, "1", "INSTAGRAM", None)


@pytest.mark.parametrize(
    ("keys", "profile_id", "known_as"),
    [
        ({"user_id": "1", "graphapi_id": "2"}, "3", "1"),
        ({"graphapi_id": "2"}, "3", "2"),
        ({"user_id": None}, 3, "3"),
    ],
)
def test_an_account_is_known_by_the_first_of_its_ids(keys: dict[str, Any], profile_id: Any, known_as: str) -> None:
    event = EVENT | {"credentials": {"token": "EXAMPLE", **keys}, "profile_id": profile_id}
    assert NewAccessToken.model_validate(event).user_id == known_as


async def test_a_token_that_no_header_can_hold_is_refused(ctx: FlowContext, pg: asyncpg.Connection) -> None:
    with pytest.raises(Refused):
        await hear(ctx, EVENT | {"credentials": KEYS | {"token": "a\nb"}})
