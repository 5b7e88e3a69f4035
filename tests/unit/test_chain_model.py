"""Any sequence of outcomes against a plain model of the chain: the right end, and nobody asked after it."""

from __future__ import annotations

from dataclasses import dataclass, field

from hypothesis import given, settings
from hypothesis import strategies as st

from core.crawler.crawler import Crawler
from core.crawler.errors import ChainFailed, NoSourceAvailable, NotFound, ProviderError, Retry, retry_rule
from core.crawler.provider import Asked, Payload, Provider
from tests.support.crawling import FIND, KINDS, Credentials, parse, table_of
from utils.rate_limit import RateLimiter, redis_client
from utils.request import HttpClient, HttpOptions
from utils.times import utc_now

WORDS = [*KINDS, "data", "stumble", "no credential", "resting"]
FINAL = {"NotFound", "Private", "InsufficientData"}
LIMITED = {"RateLimited", "QuotaExhausted", "resting"}
NOTHING = {"NotFoundHere", "NotCovered"}
HOPELESS = {"NotFoundHere", "NotCovered", "Unsupported"}
STATUS = {"CredentialInvalid": 401, "Unsupported": 400, "Unavailable": 503, "Malformed": 502, "stumble": 502}


@dataclass
class Expected:
    """How the chain ends, and which sources are asked until then."""

    asked: list[str] = field(default_factory=list)
    kind: type[ProviderError] | None = None
    code: int = 200
    retry: Retry | None = None


def model(words: list[str]) -> Expected:
    """The chain's rules, written down once more as plainly as possible."""
    end, seen = Expected(), list[str]()
    for number, word in enumerate(words):
        if word == "no credential":
            continue
        if word != "resting":
            end.asked.append(f"s{number}")
        if word == "data":
            return end
        seen.append(word)
        if word in FINAL:
            end.kind, end.code, end.retry = KINDS[word], KINDS[word].status, Retry.NEVER
            return end
        if seen.count("NotFoundHere") == 2:
            break
    capable = [word for word in seen if word not in ("NotCovered", "Unsupported")]
    if not seen:
        end.kind, end.code, end.retry = NoSourceAvailable, 503, Retry.BACKOFF
    elif seen.count("NotFoundHere") == 2 or (capable and set(capable) == {"NotFoundHere"}):
        end.kind, end.code, end.retry = NotFound, 404, Retry.NEVER
    else:
        end.kind = ChainFailed
        able = [word for word in seen if word != "Unsupported"] or seen
        end.code = 429 if LIMITED & set(seen) else 404 if NOTHING & set(seen) else STATUS[able[-1]]
        later, never = (LIMITED | {"Unavailable"}) & set(seen), set(seen) <= HOPELESS
        end.retry = Retry.LATER if later else Retry.NEVER if never else Retry.BACKOFF
    return end


def scripted(source: str, word: str, asked: list[str]) -> type[Provider]:
    """A provider whose one function ends as the word says."""

    class Spoken(Provider):
        parsers = {"find": parse}  # noqa: RUF012 - a ClassVar in the base

        async def find(self, wanted: Asked) -> Payload:
            asked.append(source)
            if word in KINDS:
                raise KINDS[word]("said so")
            body = {"name": source} if word == "data" else {}
            return Payload(source, "find", wanted, body, utc_now())

    Spoken.source = source
    return Spoken


async def credentials_for(words: list[str]) -> Credentials:
    """One credential a source, but none or a resting one where the word says so."""
    held = Credentials(**{f"s{number}": 1 for number, word in enumerate(words) if word != "no credential"})
    for number, word in enumerate(words):
        if word == "resting":
            await held.rest(held.all[f"s{number}"][0], reason="", retry_after_s=60)
    held.rests.clear()
    return held


LIKELY = [word for word in WORDS if word not in FINAL and word != "data"] + ["NotFoundHere"] * 6
"""What keeps a chain going comes more often, so that long chains are tried as well."""


@settings(max_examples=400)
@given(st.lists(st.sampled_from(WORDS + LIKELY * 2), min_size=1, max_size=6))
async def test_any_sequence_of_outcomes_ends_as_the_model_says(words: list[str]) -> None:
    asked: list[str] = []
    table = table_of(*(scripted(f"s{number}", word, asked) for number, word in enumerate(words)))
    credentials = await credentials_for(words)
    limiter = RateLimiter(redis_client("redis://127.0.0.1:1/0"))  # no source has a limit: it is never asked
    crawler = Crawler(table, credentials, HttpClient(HttpOptions()), limiter, max_wait_s=0.0)
    expected, failure = model(words), None
    try:
        fetched = await crawler.fetch(FIND, Asked(handle="someone"))
    except ProviderError as error:
        failure = error
    else:
        assert fetched.source == expected.asked[-1]
    assert asked == expected.asked
    if failure is not None:
        assert (type(failure), failure.code, retry_rule(failure)) == (expected.kind, expected.code, expected.retry)
    else:
        assert expected.kind is None
    resting = {f"s{n}" for n, word in enumerate(words) if word in ("RateLimited", "QuotaExhausted")} & set(asked)
    invalid = {f"s{n}" for n, word in enumerate(words) if word == "CredentialInvalid"} & set(asked)
    assert {source for source, *_ in credentials.rests} == resting
    assert {source for source, _ in credentials.invalid} == invalid
