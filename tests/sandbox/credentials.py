"""Credential rows for the sandbox's providers: four a source, obviously not real."""

from __future__ import annotations

from dataclasses import dataclass

from tests.sandbox.universe import GRAPH_KINDS, Creator, Kind, Universe, kind_of

PER_SOURCE = 4
RAPIDAPI_HOSTS = {
    "rapidapi-arraybobo": "instagram-scraper-2022.p.rapidapi.com",
    "rapidapi-jotucker": "instagram-scraper2.p.rapidapi.com",
    "rapidapi-neotank": "instagram130.p.rapidapi.com",
    "rapidapi-bestsolutions": "instagram-api-cheap-best-performance.p.rapidapi.com",
    "rapidapi-igapi": "instagram-data1.p.rapidapi.com",
}


@dataclass(frozen=True)
class SandboxCredential:
    """One credential row: ``credentials`` is its JSON column, ``handle`` its column (None where a source has none)."""

    source: str
    number: int
    handle: str | None
    credentials: dict[str, str]

    @property
    def label(self) -> str:
        """Name for statistics and faults; never the secret."""
        return f"{self.source}#{self.number}"


def sandbox_credentials(universe: Universe) -> dict[str, list[SandboxCredential]]:
    """source -> its credentials; the same universe gives the same ones."""
    numbers = range(1, PER_SOURCE + 1)
    found = {source: [_rapidapi(source, host, n) for n in numbers] for source, host in RAPIDAPI_HOSTS.items()}
    found["lama"] = [_single("lama", "x-access-key", f"sandbox-not-a-real-key-lama-{n}", n) for n in numbers]
    tokens = {n: f"Token sandbox-not-a-real-token-rocketapi-{n}" for n in numbers}
    found["rocketapi"] = [_single("rocketapi", "Authorization", token, n) for n, token in tokens.items()]
    found["graphapi"] = [_graph(owner, n) for n, owner in enumerate(token_owners(universe), start=1)]
    return found


def token_owners(universe: Universe) -> list[Creator]:
    """The professional accounts that have connected themselves; fewer only in a universe with fewer of them."""
    owners = (universe.creator(i) for i in range(universe.size) if kind_of(universe, i) in GRAPH_KINDS - {Kind.RENAMED})
    return [owner for _, owner in zip(range(PER_SOURCE), owners, strict=False)]


def _rapidapi(source: str, host: str, number: int) -> SandboxCredential:
    key = f"sandbox-not-a-real-key-{source.removeprefix('rapidapi-')}-{number}"
    return SandboxCredential(source, number, None, {"X-RapidAPI-Key": key, "X-RapidAPI-Host": host})


def _single(source: str, name: str, value: str, number: int) -> SandboxCredential:
    return SandboxCredential(source, number, None, {name: value})


def _graph(owner: Creator, number: int) -> SandboxCredential:
    token = f"SANDBOX-not-a-real-token-{number}"
    return SandboxCredential("graphapi", number, owner.handle, {"token": token, "user_id": str(owner.fbid)})
