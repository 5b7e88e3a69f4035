"""What the object store's answers mean. A 400 is not always final, and a 503 not always a reason to slow down."""

from __future__ import annotations

import re
from enum import Enum

from utils.object_store import STALE_KEYS

_CODE = re.compile(r"<Code>\s*([\w.-]{1,64})\s*</Code>")
_AGAIN = frozenset(
    {
        "BadDigest",  # these four: the body did not arrive as it was sent
        "IncompleteBody",
        "RequestTimeout",
        "XAmzContentSHA256Mismatch",
        "InternalError",
        "OperationAborted",
        "PriorRequestNotComplete",
        "RequestTimeoutException",
        "ServiceUnavailable",
        "TemporaryRedirect",  # a new bucket whose name is not known everywhere yet
    }
)
_THROTTLED = frozenset(
    {
        "BandwidthLimitExceeded",
        "RequestLimitExceeded",
        "RequestThrottled",
        "RequestThrottledException",
        "SlowDown",
        "Throttling",
        "ThrottlingException",
        "ThrottledException",
        "TooManyRequests",
        "TooManyRequestsException",
    }
)
_TIMEOUT, _NOT_IMPLEMENTED = 408, 501


class Verdict(Enum):
    """What to do next."""

    DONE = "nothing"
    AGAIN = "try again"
    THROTTLED = "try again, all more slowly"
    NEW_KEYS = "fetch credentials anew and try once more"
    REFUSED = "give up"


def code_of(body: str) -> str:
    """The code in an error's XML; empty when there is none, as in answers to HEAD and those of proxies."""
    found = _CODE.search(body)
    return found[1] if found else ""


def judge(status: int, code: str) -> Verdict:
    """What an answer means for a request that may be repeated."""
    if 200 <= status < 300 and not code:
        return Verdict.DONE
    if code in _THROTTLED or status == 429:
        return Verdict.THROTTLED
    if code in STALE_KEYS:
        return Verdict.NEW_KEYS
    if code in _AGAIN or status == _TIMEOUT or (status >= 500 and status != _NOT_IMPLEMENTED):
        return Verdict.AGAIN
    return Verdict.REFUSED
