"""Failures of requests cross processes and reach logs: picklable, and without secrets."""

from __future__ import annotations

import pickle

import pytest

from utils.rate_limit import LimitExceeded
from utils.request import (
    BadRedirect,
    BodyTooLarge,
    ConnectFailed,
    NotJson,
    ProtocolFailed,
    RequestFailed,
    RequestTimeout,
    Response,
)
from utils.request_errors import where

REQUEST = where("GET", "https://h.example/p?access_token=5ecr3t&fields=a")


@pytest.mark.parametrize(
    "error",
    [
        RequestTimeout("read", 2.5, REQUEST),
        ConnectFailed("Connection refused", REQUEST),
        ProtocolFailed("cut", REQUEST),
        BodyTooLarge(1024, REQUEST),
        BadRedirect("a redirect loop", REQUEST),
        NotJson("status 200 with HTML instead of JSON", REQUEST),
    ],
    ids=lambda error: type(error).__name__,
)
def test_a_failure_survives_pickling_and_names_no_secret(error: RequestFailed) -> None:
    copy = pickle.loads(pickle.dumps(error))
    assert type(copy) is type(error)
    assert vars(copy) == vars(error)
    assert str(copy) == str(error)
    assert "fields=a" in str(error)
    assert "5ecr3t" not in f"{error} {error!r}"


def test_a_refused_limit_survives_pickling() -> None:
    copy = pickle.loads(pickle.dumps(LimitExceeded("graphapi", 1.5)))
    assert (copy.level_key, copy.retry_after_s) == ("graphapi", 1.5)


def test_a_response_shows_neither_its_url_nor_its_body() -> None:
    response = Response(200, {"set-cookie": "5ecr3t"}, b"5ecr3t", "https://h.example/?token=5ecr3t", 0.1)
    assert "5ecr3t" not in repr(response)
    with pytest.raises(NotJson, match="status 200 with plain text") as refused:
        response.json()
    assert "5ecr3t" not in f"{refused.value!r}"
