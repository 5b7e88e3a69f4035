"""Access tokens of callers' users: in headers, in a JSON body, or, as older callers send them, in the query.

No log line and no answer holds a query, header or body.
"""

import re
from dataclasses import dataclass
from typing import Annotated

from fastapi import Header, Query
from pydantic import AfterValidator, BaseModel, Field

from core.api.errors import refuse

_LONGEST = 4096
_USER_ID = re.compile(r"[0-9]{1,30}", re.ASCII)


def _clean_token(given: str) -> str:
    token = given.strip()
    if not token or not token.isascii() or not token.isprintable() or " " in token:
        raise ValueError("must be one word of printable ASCII")
    return token


def _clean_user_id(given: str) -> str:
    user_id = given.strip()
    if not _USER_ID.fullmatch(user_id):
        raise ValueError("must be digits")
    return user_id


Token = Annotated[str, AfterValidator(_clean_token)]
UserId = Annotated[str, AfterValidator(_clean_user_id)]
TokenHeader = Annotated[
    Token | None, Header(alias="x-access-token", max_length=_LONGEST, description="The user's access token")
]
UserIdHeader = Annotated[
    UserId | None, Header(alias="x-user-id", max_length=64, description="The platform's id of the user")
]
TokenQuery = Annotated[
    Token | None,
    Query(max_length=_LONGEST, description="As the header X-Access-Token; proxies may log it", deprecated=True),
]
UserIdQuery = Annotated[UserId | None, Query(max_length=64, description="As the header X-User-Id", deprecated=True)]


@dataclass(frozen=True, slots=True)
class Access:
    """A token and whose it is."""

    token: str
    user_id: str

    def __repr__(self) -> str:
        return f"Access(user_id={self.user_id!r})"


class AccessBody(BaseModel):
    """A token and whose it is, in a body."""

    token: Token = Field(max_length=_LONGEST, description="The user's access token", examples=["..."])
    user_id: UserId = Field(max_length=64, description="The platform's id of the user", examples=["17841400573960012"])

    def access(self) -> Access:
        """The same as routes pass it on."""
        return Access(self.token, self.user_id)


def given_access(
    x_access_token: TokenHeader = None,
    x_user_id: UserIdHeader = None,
    token: TokenQuery = None,
    user_id: UserIdQuery = None,
) -> Access:
    """The access of a GET; headers win over the query.

    Raises:
        RequestValidationError: a part is missing.
    """
    return _whole(x_access_token or token, x_user_id or user_id, ("token", "user_id"))


def access_to_check(
    x_access_token: TokenHeader = None,
    x_user_id: UserIdHeader = None,
    access_token: TokenQuery = None,
    social_user_id: UserIdQuery = None,
) -> Access:
    """The same by the names that callers of the check use.

    Raises:
        RequestValidationError: a part is missing.
    """
    return _whole(x_access_token or access_token, x_user_id or social_user_id, ("access_token", "social_user_id"))


def _whole(token: str | None, user_id: str | None, names: tuple[str, str]) -> Access:
    if token is None:
        raise refuse("query", names[0], message="Field required, or the header X-Access-Token")
    if user_id is None:
        raise refuse("query", names[1], message="Field required, or the header X-User-Id")
    return Access(token, user_id)
