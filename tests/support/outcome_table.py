"""What each fault of a source means, and what a chain of them comes to: the rules, as tables to review."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from core.crawler.errors import (
    ChainFailed,
    CredentialInvalid,
    Malformed,
    NotCovered,
    NotFound,
    NotFoundHere,
    Private,
    ProviderError,
    QuotaExhausted,
    RateLimited,
    Retry,
    Unavailable,
)
from instagram.functions.retriever.crawler import GRAPH, LAMA, ROCKETAPI
from tests.support.chain import CHAINS, SIMULATED

MINUTE, HOUR, DAY = 60.0, 3600.0, 86400.0
UNTOUCHED, REFUSED = "untouched", "refused"
WAIT_S = 40
"""Retry-After of the faults that carry one."""


@dataclass(frozen=True)
class Means:
    """What a fault is read as, with the status for the row, and the credential afterwards: rests are in seconds."""

    kind: type[ProviderError]
    status: int
    credential: str | float = UNTOUCHED


RAPIDAPI: Mapping[str, Means] = {
    "rate_limit": Means(RateLimited, 429, WAIT_S),
    "quota": Means(QuotaExhausted, 429, 14 * DAY),
    "unauthorized": Means(CredentialInvalid, 401, REFUSED),
    "forbidden": Means(CredentialInvalid, 401, REFUSED),
    "not_found": Means(NotFound, 404),
    "server_error": Means(Unavailable, 504),
    "error_in_200": Means(Unavailable, 503),
    "slow": Means(Unavailable, 503),
    "hang": Means(Unavailable, 503),
    "reset": Means(Unavailable, 503),
    "half_body": Means(Unavailable, 503),
    "html": Means(Unavailable, 503),
    "empty": Means(Unavailable, 503),
    "truncated_json": Means(Unavailable, 503),
    "huge_body": Means(Unavailable, 503),
    "changed_key": Means(Malformed, 502),
    "retyped_key": Means(Malformed, 502),
    "wrong_user": Means(NotFoundHere, 404),
}
GRAPH_API: Mapping[str, Means] = {
    **RAPIDAPI,
    "rate_limit": Means(RateLimited, 429, 10 * MINUTE),
    "quota": Means(QuotaExhausted, 429, 6 * HOUR),
    "not_found": Means(NotCovered, 404),
    "server_error": Means(Unavailable, 503),
    "code 4": Means(RateLimited, 429, 10 * MINUTE),
    "code 17": Means(RateLimited, 429, 10 * MINUTE),
    "code 32": Means(RateLimited, 429, 10 * MINUTE),
    "code 10": Means(CredentialInvalid, 401, REFUSED),
    "code 190": Means(CredentialInvalid, 401, REFUSED),
    "code 200": Means(CredentialInvalid, 401, REFUSED),
    "code 110": Means(NotCovered, 404),
    "code 1": Means(Unavailable, 503),
}
LAMA_API: Mapping[str, Means] = {
    **RAPIDAPI,
    "quota": Means(QuotaExhausted, 429, 6 * HOUR),
    "forbidden": Means(Private, 403),
    "server_error": Means(Unavailable, 500),
}
ROCKET_API: Mapping[str, Means] = LAMA_API
BY_SOURCE: Mapping[str, Mapping[str, Means]] = {GRAPH: GRAPH_API, LAMA: LAMA_API, ROCKETAPI: ROCKET_API}
"""Sources that are not behind the RapidAPI gateway."""

CONTAINERS = frozenset(
    {
        *("items", "edges", "users", "comments", "collector", "sections", "shortcode_media"),
        *("edge_owner_to_timeline_media", "edge_user_to_photos_of_you", "edge_followed_by", "edge_follow"),
        *("edge_liked_by", "edge_media_to_parent_comment", "edge_hashtag_to_ranked_media"),
    }
)
"""Keys that hold all the data: a body without one is how sources say 'no such thing'."""

NOBODY = {("rapidapi-bestsolutions", "fetch_profile_by_id"), ("rapidapi-bestsolutions", "fetch_profile_by_handle")}
"""Where an account without its id means that there is none."""

OF_ANYBODY = frozenset(
    {
        *("fetch_followers", "fetch_following", "fetch_post_likes", "fetch_post_comments"),
        *("fetch_tagged_posts", "fetch_hashtag_posts"),
    }
)
NAMED = {
    ("rapidapi-jotucker", "fetch_post_likes"),
    ("rapidapi-igapi", "fetch_followers"),
    ("rapidapi-igapi", "fetch_following"),
}
"""Lists that do not say whom they are about, and those of them that do."""

STORIES = "fetch_story_posts_by_profile_id"

ALIKE = ("rate_limit", "quota", "unauthorized", "not_found", "server_error", "html", "changed_key", "wrong_user")
"""Faults that all sources of a chain have at once: one of each meaning."""

MIXED: Sequence[tuple[str, ...]] = (
    ("rate_limit", "server_error", "changed_key"),
    ("server_error", "rate_limit", "unauthorized"),
    ("unauthorized", "changed_key", "server_error"),
    ("wrong_user", "html", "rate_limit"),
    ("wrong_user", "changed_key", "unauthorized"),
    ("changed_key", "wrong_user", "wrong_user"),
    ("quota", "wrong_user", "forbidden"),
    ("forbidden", "unauthorized", "changed_key"),
)
"""Faults of the first, second and third source of a chain at once."""


def unnoticed(function: str, source: str, fault: str) -> bool:
    """Whether an answer with this fault is data all the same.

    Lists do not say whom they are about; an answer without trays has no stories, and lama's empty list of them has
    nothing in it that could be spoiled. A post that stands alone in lama's list need not say its shortcode.
    """
    if (source, function, fault) == (LAMA, "fetch_tagged_posts", "changed_key"):
        return True
    if fault == "wrong_user":
        return function in OF_ANYBODY and (source, function) not in NAMED
    return function == STORIES and (fault == "changed_key" or (source, fault) == (LAMA, "retyped_key"))


def means(function: str, source: str, fault: str) -> Means:
    """The table's word on a fault that is noticed."""
    if fault == "changed_key" and (SIMULATED[source][function][-1] in CONTAINERS or (source, function) in NOBODY):
        return Means(NotFoundHere, 404)
    return faults_of(source)[fault]


def faults_of(source: str) -> Mapping[str, Means]:
    """The table of a source."""
    return BY_SOURCE.get(source, RAPIDAPI)


@dataclass(frozen=True)
class End:
    """What a walk of the chain comes to: who answers, or the error, its status, and when the task runs again."""

    asked: int
    source: str | None = None
    kind: type[ProviderError] | None = None
    status: int = 200
    retry: Retry | None = None


def walk(function: str, faults: Sequence[str | None]) -> End:
    """The chain's rules: a final answer or two sources without a trace end it, any data does, else it fails."""
    seen: list[Means] = []
    for source, fault in zip(CHAINS[function], faults, strict=True):
        if fault is None or unnoticed(function, source, fault):
            return End(len(seen) + 1, source)
        seen.append(means(function, source, fault))
        if seen[-1].kind is Private:
            return End(len(seen), None, Private, 403, Retry.NEVER)
        if seen[-1].kind is NotFound or [one.kind for one in seen].count(NotFoundHere) == 2:
            return End(len(seen), None, NotFound, 404, Retry.NEVER)
    kinds = {one.kind for one in seen}
    if kinds - {NotCovered} == {NotFoundHere}:
        return End(len(seen), None, NotFound, 404, Retry.NEVER)
    limited = [one for one in seen if issubclass(one.kind, RateLimited)]
    nowhere = [one for one in seen if one.kind in (NotFoundHere, NotCovered)]
    status = 429 if limited else 404 if nowhere else seen[-1].status
    later = bool(limited) or Unavailable in kinds
    return End(len(seen), None, ChainFailed, status, Retry.LATER if later else Retry.BACKOFF)
