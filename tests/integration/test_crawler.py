"""The fallback chain over sources that answer on loopback, with limits in a real Redis."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest

from core.crawler.circuit import CircuitRule
from core.crawler.crawler import Crawler
from core.crawler.errors import (
    ChainFailed,
    CredentialBusy,
    CredentialInvalid,
    InsufficientData,
    Malformed,
    NoSourceAvailable,
    NotFound,
    Private,
    ProviderError,
    RateLimited,
    Retry,
    SourceBusy,
    Unavailable,
    retry_rule,
)
from core.crawler.provider import Asked, Credential, Payload, Provider
from tests.support.crawling import (
    FIND,
    Answer,
    Credentials,
    Scripted,
    Sources,
    data,
    error,
    provider,
    serving,
    table_of,
)
from utils.rate_limit import By, Limit, RateLimiter, redis_client
from utils.request import HttpClient, HttpOptions, Timeouts

ASKED = Asked(handle="someone")


class Rig:
    """A crawler over three sources, alpha first, with three credentials each."""

    def __init__(self, server: Sources, http: HttpClient, limiter: RateLimiter) -> None:
        self.server = server
        self.http = http
        self.limiter = limiter
        self.credentials = Credentials(alpha=3, beta=3, gamma=3)
        for source in ("alpha", "beta", "gamma"):
            server.say(source, data(source))
        self.crawler = self.over("alpha", "beta", "gamma")

    def over(self, *sources: str, limits: tuple[Limit, ...] = (), rule: CircuitRule | None = None) -> Crawler:
        """A crawler over these sources; the first one has the limits."""
        first, *others = sources
        providers = [provider(first, self.server.url, limits)] + [provider(one, self.server.url) for one in others]
        crawler = Crawler(table_of(*providers), self.credentials, self.http, self.limiter, max_wait_s=0.0)
        crawler.circuit_rule = rule or CircuitRule()
        return crawler

    async def fails(self, crawler: Crawler | None = None) -> ProviderError:
        """The error of a fetch."""
        with pytest.raises(ProviderError) as failure:
            await (crawler or self.crawler).fetch(FIND, ASKED)
        return failure.value


@pytest.fixture
async def http() -> AsyncIterator[HttpClient]:
    client = HttpClient(HttpOptions(timeouts=Timeouts(connect=5, read=1.5, total=10)))
    yield client
    await client.aclose()


@pytest.fixture
async def limiter(redis_url: str) -> AsyncIterator[RateLimiter]:
    shared = RateLimiter(redis_client(redis_url))
    yield shared
    await shared.aclose()


@pytest.fixture
async def rig(http: HttpClient, limiter: RateLimiter) -> AsyncIterator[Rig]:
    async with serving() as server:
        yield Rig(server, http, limiter)


async def test_the_first_source_that_answers_is_the_last_one_asked(rig: Rig) -> None:
    fetched = await rig.crawler.fetch(FIND, ASKED)
    assert (fetched.value, fetched.source, fetched.payload.data) == ("alpha", "alpha", {"name": "alpha"})
    assert rig.server.calls == [("alpha", "1")]
    assert rig.credentials.worked_ones == [("alpha", 1)]


@pytest.mark.parametrize(
    ("kind", "calls", "touched"),
    [
        ("RateLimited", 3, "rests"),
        ("QuotaExhausted", 3, "rests"),
        ("CredentialInvalid", 3, "invalid"),
        ("NotCovered", 1, None),
        ("NotFoundHere", 1, None),
        ("Unsupported", 1, None),
        ("Unavailable", 1, None),
        ("Malformed", 1, None),
    ],
)
async def test_each_class_of_failure_turns_to_the_next_source(
    rig: Rig, kind: str, calls: int, touched: str | None
) -> None:
    rig.server.say("alpha", error(kind))
    assert (await rig.crawler.fetch(FIND, ASKED)).source == "beta"
    assert rig.server.counts == {"alpha": calls, "beta": 1}
    assert rig.credentials.untouched == (touched is None)
    understood = kind in ("NotCovered", "NotFoundHere", "Unsupported")
    assert rig.credentials.worked_ones == [("alpha", 1)] * understood + [("beta", 1)]
    if touched:
        assert len(getattr(rig.credentials, touched)) == 3


@pytest.mark.parametrize(
    "broken",
    [
        Answer({"name": "x"}, status=503),
        Answer("<html>sorry</html>"),
        Answer('{"name": "cut'),
        Answer(""),
        Answer(None),
        Answer({"name": "late"}, delay_s=60.0),
    ],
    ids=["5xx", "html", "cut", "empty", "reset", "slow"],
)
async def test_a_source_that_is_down_is_passed_over_and_its_credential_left_alone(rig: Rig, broken: Answer) -> None:
    rig.server.say("alpha", broken)
    assert (await rig.crawler.fetch(FIND, ASKED)).source == "beta"
    assert rig.credentials.untouched
    rig.credentials.all = {"alpha": rig.credentials.all["alpha"]}
    failure = await rig.fails()
    assert isinstance(failure, ChainFailed)
    assert [type(one.error) for one in failure.outcomes] == [Unavailable]
    assert retry_rule(failure) is Retry.LATER


async def test_another_credential_of_the_source_answers_before_another_source_does(rig: Rig) -> None:
    rig.server.say("alpha:1", error("RateLimited"))
    rig.server.say("alpha:2", error("CredentialInvalid"))
    assert (await rig.crawler.fetch(FIND, ASKED)).source == "alpha"
    assert rig.server.calls == [("alpha", "1"), ("alpha", "2"), ("alpha", "3")]
    assert rig.credentials.rests == [("alpha", 1, None)]
    assert rig.credentials.invalid == {("alpha", 2): False}


async def test_no_more_than_three_credentials_of_a_source_are_tried(rig: Rig) -> None:
    rig.credentials = Credentials(alpha=10, beta=1)
    rig.server.say("alpha", error("CredentialInvalid"))
    assert (await rig.over("alpha", "beta").fetch(FIND, ASKED)).source == "beta"
    assert rig.server.counts["alpha"] == 3


@pytest.mark.parametrize(("kind", "rest_s"), [("RateLimited", None), ("QuotaExhausted", 6 * 3600.0)])
async def test_a_rest_is_as_long_as_the_source_says_else_as_the_class_does(
    rig: Rig, kind: str, rest_s: float | None
) -> None:
    rig.server.say("alpha:1", error(kind, Retry_After="77"))
    rig.server.say("alpha:2", error(kind))
    await rig.crawler.fetch(FIND, ASKED)
    assert rig.credentials.rests == [("alpha", 1, 77.0), ("alpha", 2, rest_s)]


@pytest.mark.parametrize("kind", [NotFound, Private, InsufficientData])
async def test_a_final_answer_stops_the_chain_and_brings_what_came_before(rig: Rig, kind: type[ProviderError]) -> None:
    rig.server.say("alpha", error("NotCovered"))
    rig.server.say("beta", error(kind.__name__))
    failure = await rig.fails()
    assert type(failure) is kind
    assert [(one.source, one.error.word) for one in failure.outcomes] == [("alpha", "not_found"), ("beta", kind.word)]
    assert "gamma" not in rig.server.counts
    assert retry_rule(failure) is Retry.NEVER


async def test_two_sources_that_infer_not_found_agree(rig: Rig) -> None:
    rig.server.say("alpha", error("NotFoundHere"))
    rig.server.say("beta", Answer({"name": "x", "of": "somebody else"}))
    failure = await rig.fails()
    assert type(failure) is NotFound
    assert "gamma" not in rig.server.counts
    assert len(failure.outcomes) == 2


@pytest.mark.parametrize("others", ["NotCovered", "Unsupported"])
async def test_one_that_infers_not_found_is_enough_when_no_other_could_know(rig: Rig, others: str) -> None:
    rig.server.say("alpha", error(others))
    rig.server.say("beta", error("NotFoundHere"))
    rig.server.say("gamma", error(others))
    failure = await rig.fails()
    assert type(failure) is NotFound
    assert len(failure.outcomes) == 3


async def test_one_that_infers_not_found_is_not_believed_while_another_is_down(rig: Rig) -> None:
    rig.server.say("alpha", error("NotFoundHere"))
    rig.server.say("beta", error("Unavailable"))
    rig.server.say("gamma", error("NotCovered"))
    failure = await rig.fails()
    assert isinstance(failure, ChainFailed)
    assert retry_rule(failure) is Retry.LATER


async def test_when_every_source_does_not_cover_the_account_the_task_fails_with_404(rig: Rig) -> None:
    for source in ("alpha", "beta", "gamma"):
        rig.server.say(source, error("NotCovered", f"{source} cannot see it"))
    failure = await rig.fails()
    assert str(failure) == "(404, 'alpha cannot see it')"
    assert retry_rule(failure) is Retry.NEVER


async def test_a_chain_that_failed_says_429_when_any_source_was_rate_limited(rig: Rig) -> None:
    rig.server.say("alpha", error("Malformed"))
    rig.server.say("beta", error("RateLimited", "too fast", Retry_After="90"))
    rig.server.say("gamma", error("NotFoundHere"))
    failure = await rig.fails()
    assert str(failure) == "(429, 'too fast')"
    assert failure.retry_after_s is not None
    assert 80 < failure.retry_after_s <= 90
    assert [one.as_result()["class"] for one in failure.outcomes] == ["malformed", "rate_limited", "not_found"]


async def test_sources_without_a_credential_are_passed_over_in_silence(rig: Rig) -> None:
    rig.credentials.all = {"gamma": rig.credentials.all["gamma"]}
    assert (await rig.crawler.fetch(FIND, ASKED)).source == "gamma"
    rig.server.say("gamma", error("Unavailable", "down"))
    failure = await rig.fails()
    assert [one.source for one in failure.outcomes] == ["gamma"]


async def test_without_any_credential_no_source_is_available(rig: Rig) -> None:
    rig.credentials.all = {}
    failure = await rig.fails()
    assert isinstance(failure, NoSourceAvailable)
    assert str(failure) == "No source is available at the moment"
    assert not rig.server.calls


async def test_a_source_whose_credentials_all_rest_is_rate_limited_until_the_first_comes_back(rig: Rig) -> None:
    rig.credentials = Credentials(alpha=2)
    for credential, rest_s in zip(rig.credentials.all["alpha"], (300, 100), strict=True):
        await rig.credentials.rest(credential, reason="", retry_after_s=rest_s)
    failure = await rig.fails(rig.over("alpha"))
    assert isinstance(failure, ChainFailed)
    assert isinstance(failure.outcomes[0].error, RateLimited)
    assert failure.retry_after_s is not None
    assert 90 < failure.retry_after_s <= 100
    assert not rig.server.calls


async def test_a_refused_key_beside_a_resting_one_is_tried_again_later(rig: Rig) -> None:
    rig.credentials = Credentials(alpha=2)
    await rig.credentials.rest(rig.credentials.all["alpha"][1], reason="", retry_after_s=100)
    rig.server.say("alpha", error("CredentialInvalid"))
    failure = await rig.fails(rig.over("alpha"))
    assert retry_rule(failure) is Retry.LATER
    assert failure.code == 429


async def test_the_source_limit_turns_to_the_next_source_without_touching_the_credential(rig: Rig) -> None:
    crawler = rig.over("alpha", "beta", limits=(Limit(2, 60),))
    assert [(await crawler.fetch(FIND, ASKED)).source for _ in range(4)] == ["alpha", "alpha", "beta", "beta"]
    assert rig.credentials.untouched
    rig.credentials.all.pop("beta")
    failure = await rig.fails(crawler)
    assert isinstance(failure, ChainFailed)
    assert isinstance(failure.outcomes[0].error, SourceBusy)
    assert failure.retry_after_s is not None
    assert 0 < failure.retry_after_s <= 61


async def test_sources_that_were_given_up_are_asked_after_all_others(rig: Rig) -> None:
    assert (await rig.crawler.fetch(FIND, ASKED, last=["alpha", "beta"])).source == "gamma"
    rig.server.say("gamma", error("Unavailable"))
    assert (await rig.crawler.fetch(FIND, ASKED, last=["alpha", "beta"])).source == "alpha"


async def test_a_source_that_was_drawn_first_is_followed_by_the_chain(rig: Rig) -> None:
    rig.crawler.table = replace(rig.crawler.table, weights={"find": {"gamma": 1.0}})
    assert (await rig.crawler.fetch(FIND, ASKED)).source == "gamma"
    rig.server.say("gamma", error("Unavailable"))
    assert (await rig.crawler.fetch(FIND, ASKED)).source == "alpha"


async def test_a_credentials_limit_turns_to_another_credential(rig: Rig) -> None:
    crawler = rig.over("alpha", "beta", limits=(Limit(1, 60, By.CREDENTIAL), Limit(100, 60)))
    for _ in range(4):
        await crawler.fetch(FIND, ASKED)
    assert rig.server.calls == [("alpha", "1"), ("alpha", "2"), ("alpha", "3"), ("beta", "1")]
    assert rig.credentials.untouched


async def test_a_credential_that_is_not_admitted_is_not_used_and_another_is(rig: Rig) -> None:
    asked: list[tuple[int, str, Asked]] = []

    async def admission(credential: Credential, function: str, what: Asked) -> None:
        asked.append((credential.id, function, what))
        if credential.id < 3:
            raise CredentialBusy("its own budget is used up", retry_after_s=60.0)

    rig.crawler.admission = admission
    await rig.crawler.fetch(FIND, ASKED)
    assert asked == [(number, "find", ASKED) for number in (1, 2, 3)]
    assert rig.server.calls == [("alpha", "3")]
    assert rig.credentials.untouched


async def test_a_fetch_waits_for_a_window_that_opens_in_time(rig: Rig) -> None:
    crawler = rig.over("alpha", "beta", limits=(Limit(1, 0.2),))
    sources = [(await crawler.fetch(FIND, ASKED, max_wait_s=5.0)).source for _ in range(3)]
    assert sources == ["alpha", "alpha", "alpha"]


async def test_whoever_will_not_wait_does_not(rig: Rig) -> None:
    crawler = rig.over("alpha", "beta", limits=(Limit(1, 60),))
    crawler._max_wait_s = 600.0
    assert [(await crawler.fetch(FIND, ASKED, max_wait_s=0.0)).source for _ in range(2)] == ["alpha", "beta"]


async def test_the_waits_of_one_fetch_share_one_allowance(rig: Rig) -> None:
    allowed: list[float] = []

    class Remembering(RateLimiter):
        async def acquire(self, levels: Any, *, max_wait_s: float) -> None:
            assert levels
            allowed.append(max_wait_s)
            await asyncio.sleep(0.05)

    rig.server.say("alpha", error("RateLimited"))
    crawler = rig.over("alpha", limits=(Limit(1, 1),))
    crawler._limiter = Remembering(rig.limiter._redis)
    with pytest.raises(ChainFailed):
        await crawler.fetch(FIND, ASKED, max_wait_s=0.06)
    assert allowed[0] == 0.06
    assert allowed[1] < 0.02
    assert allowed[2] == 0.0


async def test_a_parser_that_stumbles_is_a_malformed_answer_and_the_payload_is_kept(rig: Rig) -> None:
    kept: list[tuple[Payload, ProviderError]] = []

    async def keep(payload: Payload, provider: Provider, failure: ProviderError | None) -> None:
        if failure is not None:
            kept.append((payload, failure))

    rig.crawler.on_payload = keep
    rig.server.say("alpha", Answer({"title": "renamed key"}))
    rig.server.say("beta", Answer(["not an object"]))
    assert (await rig.crawler.fetch(FIND, ASKED)).source == "gamma"
    assert [payload.data for payload, _ in kept] == [{"title": "renamed key"}, ["not an object"]]
    assert isinstance(kept[0][1], Malformed)
    assert kept[0][1].path == "name"
    assert isinstance(kept[0][1].__cause__, KeyError)
    assert isinstance(kept[1][1].__cause__, AttributeError)
    assert rig.credentials.untouched


@pytest.mark.parametrize(("kind", "kept"), [("Malformed", 1), ("NotCovered", 0), ("Unavailable", 0)])
async def test_an_answer_that_was_malformed_before_any_parser_is_kept_too(rig: Rig, kind: str, kept: int) -> None:
    shown: list[Any] = []

    async def keep(payload: Payload, provider: Provider, failure: ProviderError | None) -> None:
        if failure is not None:
            shown.append(payload.data)

    rig.crawler.on_payload = keep
    rig.server.say("alpha", error(kind))
    assert (await rig.crawler.fetch(FIND, ASKED)).source == "beta"
    assert shown == [{"error": kind, "message": "said so"}] * kept


async def test_a_payload_that_cannot_be_kept_does_not_stop_the_chain(rig: Rig) -> None:
    async def broken(payload: Payload, provider: Provider, failure: ProviderError | None) -> None:
        raise OSError("disk full")

    rig.crawler.on_payload = broken
    rig.server.say("alpha", Answer({}))
    assert (await rig.crawler.fetch(FIND, ASKED)).source == "beta"


async def test_a_source_that_failed_five_times_in_a_row_is_not_called(rig: Rig) -> None:
    rig.server.say("alpha", error("Unavailable"))
    for _ in range(8):
        assert (await rig.crawler.fetch(FIND, ASKED)).source == "beta"
    assert rig.server.counts == {"alpha": 5, "beta": 8}
    rig.credentials.all = {"alpha": rig.credentials.all["alpha"]}
    failure = await rig.fails()
    assert failure.retry_after_s is not None
    assert 0 < failure.retry_after_s <= 30
    assert rig.server.counts["alpha"] == 5


async def test_a_source_that_recovered_is_asked_again_after_one_trial(rig: Rig) -> None:
    crawler = rig.over("alpha", "beta", rule=CircuitRule(threshold=2, pause_s=0.1))
    rig.server.say("alpha", error("Unavailable"), error("Unavailable"), data("alpha"))
    assert [(await crawler.fetch(FIND, ASKED)).source for _ in range(2)] == ["beta", "beta"]
    while (await crawler.fetch(FIND, ASKED)).source == "beta":
        await asyncio.sleep(0.02)
    assert (await crawler.fetch(FIND, ASKED)).source == "alpha"
    assert rig.server.counts["alpha"] == 4


@pytest.mark.parametrize("between", [data("alpha"), error("RateLimited"), error("NotCovered")])
async def test_failures_between_which_a_source_answered_are_not_in_a_row(rig: Rig, between: Answer) -> None:
    crawler = rig.over("alpha", "beta", rule=CircuitRule(threshold=2))
    rig.server.say("alpha", *[error("Unavailable"), between] * 3)
    for _ in range(6):
        rig.credentials.resting.clear()
        await crawler.fetch(FIND, ASKED)
    assert not crawler._circuit("alpha").is_open
    assert rig.server.counts["alpha"] >= 6


async def test_a_credential_whose_data_access_has_run_out_is_put_away_as_such(rig: Rig) -> None:
    class Expired(Scripted):
        source = "alpha"

        async def find(self, asked: Asked) -> Payload:
            raise CredentialInvalid(f"data access to {asked.handle} has run out", data_access_expired=True)

    rig.credentials = Credentials(alpha=1)
    crawler = Crawler(table_of(Expired), rig.credentials, rig.http, rig.limiter, max_wait_s=0.0)
    await rig.fails(crawler)
    assert rig.credentials.invalid == {("alpha", 1): True}
    assert rig.credentials.worked_ones == []


async def test_an_open_circuit_of_one_source_leaves_the_others_closed(rig: Rig) -> None:
    crawler = rig.over("alpha", "beta", rule=CircuitRule(threshold=1))
    rig.server.say("alpha", error("Unavailable"))
    for _ in range(3):
        assert (await crawler.fetch(FIND, ASKED)).source == "beta"
    assert rig.server.counts == {"alpha": 1, "beta": 3}


async def test_a_cancelled_fetch_is_cancelled_and_counts_as_no_failure(rig: Rig) -> None:
    crawler = rig.over("alpha", "beta", rule=CircuitRule(threshold=1))
    rig.server.say("alpha", Answer({"name": "late"}, delay_s=60.0), data("alpha"))
    fetching = asyncio.create_task(crawler.fetch(FIND, ASKED))
    await rig.server.reached.wait()
    fetching.cancel()
    with pytest.raises(asyncio.CancelledError):
        await fetching
    assert rig.credentials.untouched
    assert rig.server.counts == {"alpha": 1}
    assert (await crawler.fetch(FIND, ASKED)).source == "alpha"


async def test_a_page_asks_only_the_source_that_began(rig: Rig) -> None:
    assert (await rig.crawler.fetch(FIND, ASKED, source="beta")).source == "beta"
    rig.server.say("beta", error("Unavailable"))
    with pytest.raises(ChainFailed) as failure:
        await rig.crawler.fetch(FIND, ASKED, source="beta")
    assert [one.source for one in failure.value.outcomes] == ["beta"]
    assert set(rig.server.counts) == {"beta"}
    with pytest.raises(ValueError, match="delta is no source of find"):
        await rig.crawler.fetch(FIND, ASKED, source="delta")


async def test_a_call_for_an_account_uses_only_its_own_credential(rig: Rig) -> None:
    alphas = rig.credentials.all["alpha"]
    alphas[1] = replace(alphas[1], handle="someone")
    await rig.crawler.fetch(FIND, ASKED, handle="someone")
    assert rig.server.calls == [("alpha", "2")]
    rig.server.say("alpha", error("CredentialInvalid"))
    with pytest.raises(ChainFailed):
        await rig.crawler.fetch(FIND, ASKED, source="alpha", handle="someone")
    assert rig.server.calls == [("alpha", "2")] * 2
