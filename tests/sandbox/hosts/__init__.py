"""One module per provider host. A new one is a subclass of Host and a line in HOSTS."""

from __future__ import annotations

from tests.sandbox.hosts.arraybobo import Arraybobo
from tests.sandbox.hosts.base import Host
from tests.sandbox.hosts.bestsolutions import BestSolutions
from tests.sandbox.hosts.graph import Graph
from tests.sandbox.hosts.igapi import IgApi
from tests.sandbox.hosts.jotucker import JoTucker
from tests.sandbox.hosts.lama import Lama
from tests.sandbox.hosts.neotank import NeoTank
from tests.sandbox.hosts.rocketapi import RocketApi
from tests.sandbox.universe import Universe

HOSTS: tuple[type[Host], ...] = (Graph, Arraybobo, JoTucker, Lama, RocketApi, NeoTank, BestSolutions, IgApi)


def all_hosts(universe: Universe) -> dict[str, Host]:
    """Host name (as in X-Provider-Host) -> the module that answers for it."""
    return {kind.host: kind(universe) for kind in HOSTS}
