"""Control API of the sandbox: faults, statistics, and a look into the universe."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from fastapi import FastAPI, HTTPException
from pydantic import BaseModel

from tests.sandbox.app import CONTROL, Sandbox
from tests.sandbox.credentials import sandbox_credentials
from tests.sandbox.faults import MEDIA_FAULTS, FaultIn
from tests.sandbox.media.cdn import SOURCE as CDN
from tests.sandbox.posts import posts_of
from tests.sandbox.stats import StatsOut


class FaultOut(BaseModel):
    """A fault in force."""

    id: int
    fault: FaultIn
    hits: int
    left: int | None


class Health(BaseModel):
    """What this sandbox answers from."""

    status: str = "ok"
    seed: int
    now: int
    creators: int
    limit_factor: float
    hosts: dict[str, str]


def build(sandbox: Sandbox) -> FastAPI:
    """The FastAPI application behind /_sandbox/."""
    app = FastAPI(title="Provider sandbox", docs_url=f"{CONTROL}/docs", openapi_url=f"{CONTROL}/openapi.json")
    _health(app, sandbox)
    _faults(app, sandbox)
    _stats(app, sandbox)
    _universe(app, sandbox)
    return app


def _health(app: FastAPI, sandbox: Sandbox) -> None:
    @app.get(f"{CONTROL}/health")
    async def health() -> Health:
        """Parameters of the universe: the same ones give the same answers elsewhere."""
        universe = sandbox.universe
        return Health(
            seed=universe.seed,
            now=universe.now,
            creators=universe.size,
            limit_factor=sandbox.limits.factor,
            hosts={name: host.source for name, host in sandbox.hosts.items()},
        )


def _faults(app: FastAPI, sandbox: Sandbox) -> None:
    sources = {CDN, *(host.source for host in sandbox.hosts.values())}

    @app.post(f"{CONTROL}/faults", status_code=201)
    async def add_fault(fault: FaultIn) -> FaultOut:
        """Put a fault in force; several may be, the oldest that matches hits."""
        if fault.source not in {"*", *sources}:
            raise HTTPException(422, f"source must be * or one of {sorted(sources)}")
        if fault.kind in MEDIA_FAULTS and fault.source != CDN:
            raise HTTPException(422, f"{fault.kind} is a fault of source {CDN} only")
        added = sandbox.faults.add(fault)
        return FaultOut(id=added.id, fault=added.spec, hits=0, left=added.left)

    @app.get(f"{CONTROL}/faults")
    async def list_faults() -> list[FaultOut]:
        """Faults and how often each has hit."""
        return [FaultOut(id=f.id, fault=f.spec, hits=f.hits, left=f.left) for f in sandbox.faults.active]

    @app.delete(f"{CONTROL}/faults", status_code=204)
    async def clear_faults() -> None:
        """End all faults."""
        sandbox.faults.clear()


def _stats(app: FastAPI, sandbox: Sandbox) -> None:
    @app.get(f"{CONTROL}/stats")
    async def stats() -> StatsOut:
        """Requests per source, function, status, credential and fault."""
        return sandbox.stats.report()

    @app.delete(f"{CONTROL}/stats", status_code=204)
    async def clear_stats() -> None:
        """Count from zero, and forget the requests in the limit windows and what hosts remember of them."""
        sandbox.stats.clear()
        sandbox.limits.clear()
        for host in sandbox.hosts.values():
            host.clear()


def _universe(app: FastAPI, sandbox: Sandbox) -> None:
    @app.get(f"{CONTROL}/universe/{{index}}")
    async def creator(index: int) -> dict[str, Any]:
        """One creator with its posts, the plain truth."""
        if not 0 <= index < sandbox.universe.size:
            raise HTTPException(404, f"creators are 0 to {sandbox.universe.size - 1}")
        who = sandbox.universe.creator(index)
        posts = [{**asdict(post), "shortcode": post.shortcode} for post in posts_of(sandbox.universe, who)]
        return {**asdict(who), "fbid": who.fbid, "posts": posts}

    @app.get(f"{CONTROL}/credentials")
    async def credentials() -> list[dict[str, Any]]:
        """Credential rows that this sandbox accepts."""
        return [asdict(row) for rows in sandbox_credentials(sandbox.universe).values() for row in rows]
