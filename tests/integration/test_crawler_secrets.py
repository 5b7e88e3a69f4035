"""Planted secrets, every class of failure, and no trace of them in logs, errors, tracebacks or stored reasons."""

from __future__ import annotations

import pickle
import traceback
from collections.abc import AsyncIterator, Iterator
from typing import Any
from urllib.parse import quote, quote_plus

import pytest
from loguru import logger

from core.crawler.crawler import Crawler
from core.crawler.errors import Malformed, ProviderError, Unavailable
from core.crawler.provider import Asked, Credential, Payload, Provider
from core.crawler.scrub import scrub_error, scrub_text, secrets_of
from tests.support.crawling import FIND, KINDS, Answer, Credentials, Scripted, Sources, data, serving, table_of
from utils.rate_limit import RateLimiter, redis_client
from utils.request import HttpClient, HttpOptions

SECRET = "p1anted&secret/value 42"
TELLING = (
    f"bad key {SECRET} in https://x.example/?key={quote(SECRET, safe='')} and access_token=EAAplantedgraphtoken00000001"
)


@pytest.fixture
def lines() -> Iterator[list[str]]:
    """Everything that is logged, down to TRACE, with all its fields and tracebacks."""
    kept: list[str] = []
    sink = logger.add(kept.append, level="TRACE", format="{level} {message} {extra} {exception}", diagnose=False)
    yield kept
    logger.remove(sink)


@pytest.fixture
async def server() -> AsyncIterator[Sources]:
    async with serving() as sources:
        sources.say("beta", data("beta"))
        yield sources


@pytest.fixture
async def http() -> AsyncIterator[HttpClient]:
    client = HttpClient(HttpOptions())
    yield client
    await client.aclose()


def planted() -> Credentials:
    """One credential of alpha, whose key sources give back in what they say."""
    credentials = Credentials(alpha=1)
    credentials.all["alpha"] = [Credential(1, "alpha", None, {"x-key": SECRET, "user_id": "17841400000000001"})]
    return credentials


def assert_no_trace(text: str) -> None:
    for form in (SECRET, quote(SECRET, safe=""), SECRET.split(" ", maxsplit=1)[0], "EAAplantedgraphtoken00000001"):
        assert form not in text


async def failing(provider: type[Provider], http: HttpClient, credentials: Credentials) -> ProviderError:
    limiter = RateLimiter(redis_client("redis://127.0.0.1:1/0"))  # no source has a limit: it is never asked
    crawler = Crawler(table_of(provider), credentials, http, limiter, max_wait_s=0.0)
    with pytest.raises(ProviderError) as failure:
        await crawler.fetch(FIND, Asked(handle="someone"))
    return failure.value


def told(error: ProviderError) -> str:
    """All that an error can be made to say."""
    everything = [error, *(outcome.error for outcome in error.outcomes)]
    return "\n".join(
        "".join(traceback.format_exception(one)) + f"{one!r} {one} {vars(one)}" + repr(pickle.dumps(one))
        for one in everything
    )


class Echoing(Scripted):
    """Sends the key and a header that names it."""

    source = "alpha"


@pytest.mark.parametrize("kind", KINDS)
async def test_a_source_that_repeats_the_key_in_its_error_gives_nothing_away(
    kind: str, server: Sources, http: HttpClient, lines: list[str]
) -> None:
    provider = type("Here", (Echoing,), {"base_url": f"{server.url}/alpha"})
    server.say("alpha", Answer({"error": kind, "message": TELLING}))
    credentials = planted()
    error = await failing(provider, http, credentials)
    assert_no_trace(told(error))
    assert_no_trace("".join(lines))
    assert_no_trace(" ".join(credentials.reasons))
    assert any(KINDS[kind].word in line for line in lines)


@pytest.mark.parametrize(
    "answer",
    [
        Answer({"title": TELLING}),
        Answer([TELLING]),
        Answer(f"<html>{TELLING}"),
        Answer(TELLING, status=503),
        Answer(None),
    ],
    ids=["other key", "other shape", "html", "5xx", "reset"],
)
async def test_a_broken_answer_with_the_key_in_it_gives_nothing_away(
    answer: Answer, server: Sources, http: HttpClient, lines: list[str]
) -> None:
    provider = type("Here", (Echoing,), {"base_url": f"{server.url}/alpha"})
    server.say("alpha", answer)
    assert_no_trace(told(await failing(provider, http, planted())))
    assert_no_trace("".join(lines))


@pytest.mark.parametrize("stage", ["ask", "read"])
@pytest.mark.parametrize("raised", [KeyError(SECRET), ValueError(TELLING), TypeError(TELLING), Malformed(TELLING)])
async def test_an_exception_with_the_key_in_its_text_gives_nothing_away(
    stage: str, raised: Exception, server: Sources, http: HttpClient, lines: list[str]
) -> None:
    class Stumbling(Echoing):
        base_url = f"{server.url}/alpha"

        async def find(self, asked: Asked) -> Payload:
            if stage == "ask":
                raise raised from RuntimeError(TELLING)
            return await super().find(asked)

    def stumble(_payload: Payload) -> Any:
        raise raised from RuntimeError(TELLING)

    Stumbling.parsers = {"find": stumble}
    server.say("alpha", data("alpha"))
    error = await failing(Stumbling, http, planted())
    assert isinstance(error.outcomes[0].error, Malformed)
    assert_no_trace(told(error))
    assert_no_trace("".join(lines))


async def test_a_key_that_no_header_can_carry_is_not_quoted(
    server: Sources, http: HttpClient, lines: list[str]
) -> None:
    provider = type("Here", (Echoing,), {"base_url": f"{server.url}/alpha"})
    credentials = planted()
    credentials.all["alpha"] = [Credential(1, "alpha", None, {"x-key": f"{SECRET}\r\nx-other: 1"})]
    assert_no_trace(told(await failing(provider, http, credentials)))
    assert_no_trace("".join(lines))
    assert not server.calls


def test_what_an_error_was_raised_beside_is_cut_as_well() -> None:
    error = Unavailable("down")
    error.__context__ = ValueError("harmless")
    error.__context__.__context__ = ValueError(TELLING)
    scrub_error(error, {"x-key": SECRET})
    assert_no_trace("".join(traceback.format_exception(error)))
    assert str(error.__context__) == "harmless"
    assert error.__context__.__context__ is None


def test_a_cause_that_gives_nothing_away_is_kept() -> None:
    error = Unavailable("down")
    error.__cause__ = OSError("connection refused")
    scrub_error(error, {"x-key": SECRET})
    assert isinstance(error.__cause__, OSError)


def test_public_keys_may_be_named_and_long_texts_are_cut() -> None:
    secrets = secrets_of({"user_id": "17841400000000001", "token": SECRET})
    assert scrub_text(f"17841400000000001 {SECRET}", secrets) == "17841400000000001 ***"
    assert len(scrub_text("word " * 1000, secrets)) == 500


@pytest.mark.parametrize(
    "written", [quote(SECRET, safe=""), quote_plus(SECRET), repr("a\\b'\"" + SECRET)[1:-1], "a\\b'\"" + SECRET]
)
def test_a_secret_is_known_however_it_is_written(written: str) -> None:
    secrets = secrets_of({"x-key": SECRET, "other": "a\\b'\"" + SECRET})
    assert scrub_text(f"no such key: {written}!", secrets) == "no such key: ***!"


def test_the_words_of_an_authorization_are_secret_but_for_its_scheme() -> None:
    secrets = secrets_of({"Authorization": "Token planted-0123456789", "X-RapidAPI-Host": "h.example", "n": "abc"})
    assert scrub_text("Token of h.example: planted-0123456789, abc", secrets) == "Token of h.example: ***, abc"


def test_a_long_text_is_cut_after_it_was_cleaned() -> None:
    assert scrub_text("x" * 485 + " EAAplantedgraphtoken00000001", []) == "x" * 485 + " ***"
    assert "p1anted" not in scrub_text("x" * 494 + SECRET, secrets_of({"x-key": SECRET}))


def test_what_is_said_can_be_sent_whatever_the_source_wrote() -> None:
    error = Malformed("cut \ud83d off\x00 here", path="a\udc00")
    scrub_error(error, {"x-access-key": SECRET})
    assert (error.message, error.path, error.args) == ("cut ? off\x00 here", "a?", ("cut ? off\x00 here",))
