"""What errors carry: across processes, into rows, and to the worker."""

from __future__ import annotations

import copy
import pickle
import re
from collections.abc import Iterator
from typing import Any

import pytest

from core.crawler import errors, verdict
from core.crawler.errors import (
    ChainFailed,
    CredentialInvalid,
    Malformed,
    Next,
    NoSourceAvailable,
    NotFound,
    Outcome,
    Private,
    ProviderError,
    QuotaExhausted,
    RateLimited,
    Rest,
    Retry,
    Unavailable,
    retry_rule,
)
from core.crawler.verdict import of_credentials


def every_class(base: type[ProviderError] = ProviderError) -> Iterator[type[ProviderError]]:
    for kind in base.__subclasses__():
        if kind.__module__ == errors.__name__:
            yield kind
            yield from every_class(kind)


SINGLE = [kind for kind in every_class() if kind not in (ChainFailed, NoSourceAvailable)]
CHAIN = ChainFailed(
    "find", (Outcome("alpha", RateLimited("slow", retry_after_s=9)), Outcome("beta", Malformed("odd", path="a.b")))
)


def settled() -> NotFound:
    answer = NotFound("gone")
    answer.outcomes = (Outcome("alpha", NotFound("gone")),)
    return answer


@pytest.mark.parametrize(
    "error",
    [kind("the text", status=418, retry_after_s=7.5) for kind in SINGLE]
    + [
        CredentialInvalid("x", data_access_expired=True),
        Malformed("x", path="a.b"),
        NoSourceAvailable(),
        CHAIN,
        settled(),
    ],
    ids=lambda error: type(error).__name__,
)
def test_errors_survive_the_way_to_another_process(error: ProviderError) -> None:
    for again in (pickle.loads(pickle.dumps(error)), copy.copy(error)):
        assert type(again) is type(error)
        assert str(again) == str(error)
        assert _plain(again) == _plain(error)


def _plain(error: ProviderError) -> dict[str, object]:
    return {**vars(error), "outcomes": [(one.source, _plain(one.error)) for one in error.outcomes]}


@pytest.mark.parametrize("kind", SINGLE)
def test_the_stored_text_is_a_pair_of_status_and_message(kind: type[ProviderError]) -> None:
    assert re.fullmatch(r"\(\d{3}, 'what \"happened\"'\)", str(kind('what "happened"')))


def test_the_table_in_the_module_holds_for_every_class() -> None:
    columns: dict[str, dict[str, Any]] = {
        "next": {"credential": Next.CREDENTIAL, "source": Next.SOURCE, "final": Next.FINAL},
        "rest": {"rests": Rest.RESTING, "rests long": Rest.RESTING, "disabled": Rest.INVALID, "untouched": Rest.NONE},
        "retry": {"again": Retry.LATER, "back-off": Retry.BACKOFF, "fails": Retry.NEVER},
    }
    rows = re.findall(
        r"── (\w+)(?: \(\w+\))? {2,}(\w+) {2,}(\w+(?: \w+)?) {2,}(again|back-off|fails)", errors.__doc__ or ""
    )
    table = {name: (columns["next"][a], columns["rest"][b], columns["retry"][c]) for name, a, b, c in rows}
    assert table == {kind.__name__: (kind.next, kind.rest, kind.retry) for kind in SINGLE}


def test_a_chain_waits_for_the_source_that_opens_first() -> None:
    outcomes = [Outcome(str(wait_s), RateLimited("slow", retry_after_s=wait_s)) for wait_s in (600.0, 30.0, 90.0)]
    assert ChainFailed("find", tuple(outcomes)).retry_after_s == 30.0
    outcomes.append(Outcome("flaky", Unavailable("down once")))
    assert ChainFailed("find", tuple(outcomes)).retry_after_s is None


@pytest.mark.parametrize(
    ("error", "rule"),
    [
        (Private("x"), Retry.NEVER),
        (QuotaExhausted("x"), Retry.LATER),
        (NoSourceAvailable(), Retry.BACKOFF),
        (CHAIN, Retry.LATER),
        (ChainFailed("find", (Outcome("a", Malformed("x")), Outcome("b", NotFound("x")))), Retry.BACKOFF),
        (
            ChainFailed("find", (Outcome("a", errors.NotCovered("x")), Outcome("b", errors.Unsupported("x")))),
            Retry.NEVER,
        ),
    ],
)
def test_the_worker_learns_when_to_run_a_task_again(error: ProviderError, rule: Retry) -> None:
    assert retry_rule(error) is rule


def test_a_source_waits_for_the_credential_that_opens_first() -> None:
    resting = [RateLimited("slow", retry_after_s=wait_s) for wait_s in (600.0, 0.0, 90.0)]
    assert of_credentials([*resting, CredentialInvalid("revoked")]) is resting[1]
    assert of_credentials([resting[0], CredentialInvalid("revoked"), resting[2]]) is resting[2]


def test_a_final_answer_is_none_of_its_own_outcomes() -> None:
    latest = NotFound("gone")
    answer = verdict.settled([Outcome("alpha", Unavailable("down")), Outcome("beta", latest)])
    assert answer is not None
    assert answer is not latest
    assert [one.source for one in answer.outcomes] == ["alpha", "beta"]
    assert latest.outcomes == ()


def test_an_outcome_holds_on_to_no_answer() -> None:
    def ask() -> None:
        try:
            int("many")
        except ValueError as error:
            raise Malformed("odd") from error

    with pytest.raises(Malformed) as raised:
        ask()
    error = Outcome("alpha", raised.value).error
    assert isinstance(error.__cause__, ValueError)
    assert error.__traceback__ is error.__cause__.__traceback__ is None
