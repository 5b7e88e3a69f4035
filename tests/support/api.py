"""The REST API in this process, on real servers, and a client that talks to it."""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx2
from fastapi import FastAPI
from pydantic import SecretStr

from config import Settings
from server import make_app

KEY_RING = "test:" + base64.b64encode(bytes(range(32))).decode()


def with_settings(settings: Settings, group: str, **values: Any) -> Settings:
    """A copy with some values of one group changed."""
    changed = getattr(settings, group).model_copy(update=values)
    return settings.model_copy(update={group: changed})


def sealing_app(settings: Settings) -> FastAPI:
    """The application, with a key ring."""
    return make_app(with_settings(settings, "secrets", beat_keys=SecretStr(KEY_RING)))


@asynccontextmanager
async def running_api(settings: Settings) -> AsyncIterator[httpx2.AsyncClient]:
    """A client of the application; its clients are opened and closed as by a server."""
    app = sealing_app(settings)
    transport = httpx2.ASGITransport(app=app, raise_app_exceptions=True)
    async with (
        app.router.lifespan_context(app),
        httpx2.AsyncClient(transport=transport, base_url="http://beat") as client,
    ):
        yield client
