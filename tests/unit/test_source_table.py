"""A source table that is wrong refuses to be made."""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import replace

import pytest

from core.crawler.provider import Credential, Provider
from core.crawler.sources import SourceTable, levels
from tests.support.crawling import Scripted, parse, provider, table_of
from utils.rate_limit import By, Level, Limit

ALPHA = provider("alpha", "http://127.0.0.1:1")


class NoMethod(Provider):
    """Has a parser of something that it cannot ask for."""

    source = "alpha"
    parsers = {"lose": parse}  # noqa: RUF012 - a ClassVar in the base


class NoParser(Scripted):
    """Can ask for something that it cannot read."""

    source = "alpha"
    parsers = {}  # noqa: RUF012 - a ClassVar in the base


@pytest.mark.parametrize(
    ("providers", "chains", "problem"),
    [
        ({"alpha": ALPHA}, {"find": ("alpha", "beta")}, "find names beta, which has no provider"),
        ({"alpha": NoParser}, {"find": ("alpha",)}, "alpha has no parser of find"),
        ({"alpha": NoMethod}, {"lose": ("alpha",)}, "alpha has no method lose"),
        ({"beta": ALPHA}, {}, "beta is listed with the provider of alpha"),
        ({"alpha": ALPHA}, {"find": ()}, "find needs at least one source"),
        ({"alpha": ALPHA}, {"find": ("alpha", "alpha")}, "each once"),
    ],
)
def test_a_chain_that_could_not_be_walked_is_refused(
    providers: dict[str, type[Provider]], chains: dict[str, tuple[str, ...]], problem: str
) -> None:
    with pytest.raises(ValueError, match=problem):
        SourceTable("test", providers, chains)


@pytest.mark.parametrize("shares", [{"beta": 1.0}, {"alpha": 0.0}, {"alpha": -1.0}])
def test_weights_of_other_sources_and_weights_that_are_none_are_refused(shares: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="the weights of find must be above 0 and name sources of its chain"):
        SourceTable("test", {"alpha": ALPHA}, {"find": ("alpha",)}, {"find": shares})


def weighted(**shares: float) -> SourceTable:
    """A table of four sources, some of which are asked first by chance."""
    names = ("alpha", "beta", "gamma", "delta")
    providers = {name: provider(name, "http://127.0.0.1:1") for name in names}
    return SourceTable("test", providers, {"find": names}, {"find": shares})


def test_the_first_source_is_drawn_by_weight_and_the_others_follow_in_order() -> None:
    random.seed(7)
    drawn = Counter(weighted(alpha=0.3, gamma=0.7).order("find") for _ in range(2000))
    assert drawn.keys() == {("alpha", "beta", "gamma", "delta"), ("gamma", "alpha", "beta", "delta")}
    assert 0.65 < drawn["gamma", "alpha", "beta", "delta"] / 2000 < 0.75


def test_sources_that_were_given_up_come_last_and_are_not_drawn() -> None:
    table = weighted(alpha=0.3, gamma=0.7)
    assert {table.order("find", None, ["gamma"]) for _ in range(50)} == {("alpha", "beta", "delta", "gamma")}
    assert table.order("find", None, ["alpha", "gamma"]) == ("beta", "delta", "alpha", "gamma")


def test_a_page_goes_on_at_its_source_whatever_the_weights() -> None:
    assert {weighted(alpha=0.3, gamma=0.7).order("find", "delta", ["delta"]) for _ in range(20)} == {("delta",)}


def test_a_function_that_no_source_has_is_refused_by_name() -> None:
    with pytest.raises(ValueError, match="no source of test has lose"):
        table_of(ALPHA).chain("lose")


def test_a_source_that_is_named_is_asked_alone_whether_it_is_in_the_chain_or_not() -> None:
    beta = provider("beta", "http://127.0.0.1:1")
    table = SourceTable("test", {"alpha": ALPHA, "beta": beta}, {"find": ("alpha",)})
    assert (table.chain("find"), table.chain("find", "beta")) == (("alpha",), ("beta",))
    for function, source in (("find", "gamma"), ("lose", "beta")):
        with pytest.raises(ValueError, match=f"{source} is no source of {function}"):
            table.chain(function, source)


def test_limits_are_counted_by_source_and_by_credential_never_by_url() -> None:
    second, hour = Limit(5, 1), Limit(200, 3600, By.CREDENTIAL)
    limited = provider("alpha", "http://127.0.0.1:1", (second, hour))
    assert levels(limited, Credential(7, "alpha", None, {})) == [
        Level("alpha", replace(second, sliding=True)),
        Level("alpha:7", replace(hour, sliding=True)),
    ]
