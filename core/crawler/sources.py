"""Which sources a platform has, and in what order each function asks them."""

from __future__ import annotations

import random
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache

from core.crawler.provider import Credential, Provider
from utils.rate_limit import By, Level, Limit


@dataclass(frozen=True, slots=True)
class SourceTable:
    """A platform's providers by source, and per function the sources in the order they are asked.

    Raises:
        ValueError: a chain names a source that does not exist or cannot do the function, or a weight is wrong.
    """

    name: str
    providers: Mapping[str, type[Provider]]
    chains: Mapping[str, tuple[str, ...]]
    weights: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    """Functions whose first source is drawn: source -> its share. All others follow in the order of the chain."""

    def __post_init__(self) -> None:
        problems = list(self._problems())
        if problems:
            raise ValueError(f"the source table {self.name} is wrong: " + "; ".join(problems))

    def chain(self, function: str, source: str | None = None) -> tuple[str, ...]:
        """The sources to ask, in order; only ``source`` when it is named, also one that is asked by name only.

        Raises:
            ValueError: no such function, or the source is not one of its.
        """
        sources = self.chains.get(function, ())
        if source is None:
            if not sources:
                raise ValueError(f"no source of {self.name} has {function}")
            return sources
        if next(self._incapable(function, source), None):
            raise ValueError(f"{source} is no source of {function}: {', '.join(sources)}")
        return (source,)

    def order(self, function: str, source: str | None = None, last: Collection[str] = ()) -> tuple[str, ...]:
        """The chain as one fetch walks it: the first source is drawn where there are weights, ``last`` come last.

        Raises:
            ValueError: as ``chain``.
        """
        chain = self.chain(function, source)
        if source is not None:
            return chain
        shares = {one: share for one, share in self.weights.get(function, {}).items() if one not in last}
        first = random.choices(tuple(shares), tuple(shares.values())) if shares else []
        return tuple(sorted(chain, key=lambda one: (one in last, one not in first)))

    def _problems(self) -> Iterator[str]:
        for source, provider in self.providers.items():
            if provider.source != source:
                yield f"{source} is listed with the provider of {provider.source}"
        for function, sources in self.chains.items():
            if not sources or len(set(sources)) != len(sources):
                yield f"{function} needs at least one source, each once"
            for source in sources:
                yield from self._incapable(function, source)
        for function, shares in self.weights.items():
            if not shares.keys() <= set(self.chains.get(function, ())) or not all(v > 0 for v in shares.values()):
                yield f"the weights of {function} must be above 0 and name sources of its chain"

    def _incapable(self, function: str, source: str) -> Iterator[str]:
        provider = self.providers.get(source)
        if provider is None:
            yield f"{function} names {source}, which has no provider"
        elif function not in provider.parsers:
            yield f"{source} has no parser of {function}"
        elif not callable(getattr(provider, function, None)):
            yield f"{source} has no method {function}"


def levels(provider: type[Provider], credential: Credential) -> list[Level]:
    """The limits of one call: those of the source under its name, those of the credential under source and id.

    Their windows slide: nobody knows where the provider's begin.
    """
    return list(_levels(provider.source, tuple(provider.limits), credential.id))


@lru_cache(maxsize=4096)
def _levels(source: str, limits: tuple[Limit, ...], credential_id: int) -> tuple[Level, ...]:
    keys = {By.SOURCE: source, By.CREDENTIAL: f"{source}:{credential_id}"}
    return tuple(Level(keys[limit.by], replace(limit, sliding=True)) for limit in limits)
