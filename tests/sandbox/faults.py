"""Injected faults: which request is hit, and what happens to its answer."""

from __future__ import annotations

import itertools
import random
from dataclasses import dataclass
from enum import StrEnum
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


class FaultKind(StrEnum):
    """What goes wrong."""

    RATE_LIMIT = "rate_limit"
    QUOTA = "quota"
    UNAUTHORIZED = "unauthorized"
    FORBIDDEN = "forbidden"
    NOT_FOUND = "not_found"
    SERVER_ERROR = "server_error"
    ERROR_IN_200 = "error_in_200"
    SLOW = "slow"
    HANG = "hang"
    RESET = "reset"
    HALF_BODY = "half_body"
    HTML = "html"
    EMPTY = "empty"
    TRUNCATED_JSON = "truncated_json"
    CHANGED_KEY = "changed_key"
    RETYPED_KEY = "retyped_key"
    WRONG_USER = "wrong_user"
    HUGE_BODY = "huge_body"
    EXPIRED = "expired"
    WRONG_TYPE = "wrong_type"
    REDIRECT = "redirect"
    STALL = "stall"
    NO_LENGTH = "no_length"
    NO_LENGTH_HALF = "no_length_half"


PROVIDER_ERRORS = frozenset(
    {
        FaultKind.RATE_LIMIT,
        FaultKind.QUOTA,
        FaultKind.UNAUTHORIZED,
        FaultKind.FORBIDDEN,
        FaultKind.NOT_FOUND,
        FaultKind.SERVER_ERROR,
        FaultKind.ERROR_IN_200,
    }
)
BODY_FAULTS = frozenset(
    {FaultKind.HTML, FaultKind.EMPTY, FaultKind.TRUNCATED_JSON, FaultKind.CHANGED_KEY, FaultKind.RETYPED_KEY}
)

MEDIA_FAULTS = frozenset(
    {
        FaultKind.EXPIRED,
        FaultKind.WRONG_TYPE,
        FaultKind.REDIRECT,
        FaultKind.STALL,
        FaultKind.NO_LENGTH,
        FaultKind.NO_LENGTH_HALF,
    }
)
"""Those of the CDN only."""


class FaultIn(BaseModel):
    """One fault as the control API takes it; null means no condition."""

    model_config = ConfigDict(extra="forbid")

    source: str = Field(description="Source name, or * for all.", examples=["rapidapi-jotucker"])
    kind: FaultKind
    function: str | None = Field(None, description="Only this function.", examples=["fetch_profile_by_id"])
    times: int | None = Field(None, ge=1, description="Hit so many requests, then stop.")
    probability: float | None = Field(None, gt=0, le=1, description="Hit this part of the requests.")
    seconds: float | None = Field(None, ge=0, le=3600, description="Delay of slow and hang; Retry-After of rate_limit.")
    only_credential: str | None = Field(None, description="Label of one credential.", examples=["graphapi#1"])
    subject: str | None = Field(None, description="Only requests about this handle, id or shortcode.")
    status: int | None = Field(None, ge=300, le=599, description="HTTP status instead of the usual one.")
    message: str | None = Field(None, max_length=500, description="Text of error_in_200.")
    location: str | None = Field(None, max_length=8000, description="Where redirect leads.")
    code: Literal[1, 2, 4, 10, 17, 32, 110, 190, 200] | None = Field(
        None, description="Graph's error of this number instead of the usual one."
    )


@dataclass
class Active:
    """A fault in force."""

    id: int
    spec: FaultIn
    left: int | None
    hits: int = 0


@dataclass(frozen=True, slots=True)
class Target:
    """What a fault may be aimed at."""

    source: str
    function: str
    credential: str
    subject: str


class Faults:
    """The faults in force, oldest first; the first that matches hits."""

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._ids = itertools.count(1)
        self._dice = random.Random(seed)
        self.active: list[Active] = []

    def add(self, spec: FaultIn) -> Active:
        """Put one in force."""
        fault = Active(next(self._ids), spec, spec.times)
        self.active.append(fault)
        return fault

    def clear(self) -> None:
        """End all and start the dice anew, so that a test that clears first is repeatable."""
        self.active.clear()
        self._dice = random.Random(self._seed)

    def pick(self, target: Target) -> FaultIn | None:
        """The fault that hits this request; counts the hit."""
        for fault in self.active:
            if fault.left == 0 or not _matches(fault.spec, target):
                continue
            if fault.spec.probability is not None and self._dice.random() >= fault.spec.probability:
                continue
            fault.hits += 1
            if fault.left is not None:
                fault.left -= 1
            return fault.spec
        return None


def _matches(spec: FaultIn, target: Target) -> bool:
    return (
        spec.source in {"*", target.source}
        and spec.function in {None, target.function}
        and spec.only_credential in {None, target.credential}
        and spec.subject in {None, target.subject}
    )
