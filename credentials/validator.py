"""Whether a Graph user token can be used: what ``debug_token`` says about it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from core.crawler.errors import CredentialInvalid, Malformed, ProviderError, Unavailable
from core.crawler.scrub import scrub_error
from utils.request import HttpClient, RequestFailed
from utils.times import utc_now

REQUIRED_SCOPES = frozenset(
    {"instagram_basic", "instagram_manage_insights", "pages_read_engagement", "pages_show_list"}
)

INVALID_TOKEN = 190


@dataclass(frozen=True, slots=True)
class TokenVerdict:
    """What is wrong with a token; nothing is when ``usable``."""

    is_valid: bool
    missing_scopes: tuple[str, ...]
    data_access_expired: bool

    @property
    def usable(self) -> bool:
        """Valid, allowed to read what Beat reads, and still allowed to."""
        return self.is_valid and not self.missing_scopes and not self.data_access_expired

    def as_error(self) -> CredentialInvalid | None:
        """The error of a token that cannot be used; a missing scope comes first, as only its owner can add it."""
        if self.missing_scopes:
            return CredentialInvalid(f"the token lacks {', '.join(self.missing_scopes)}", status=190)
        if self.data_access_expired:
            return CredentialInvalid("Data access expired", status=500, data_access_expired=True)
        return None if self.is_valid else CredentialInvalid("Token is invalid", status=190)


def read_debug_token(answer: Any, now: datetime) -> TokenVerdict:
    """The answer of ``debug_token``; times are epoch seconds, 0 is never.

    Data access ends at the very second named, whatever the token's own expiry says.

    Raises:
        Malformed: it holds no ``data.is_valid``.
    """
    data = answer.get("data") if isinstance(answer, Mapping) else None
    is_valid = data.get("is_valid") if isinstance(data, Mapping) else None
    if not isinstance(data, Mapping) or not isinstance(is_valid, bool):
        raise Malformed("debug_token answered without is_valid", path="data.is_valid")
    scopes = data.get("scopes")
    granted = set(scopes) if isinstance(scopes, list) and all(isinstance(one, str) for one in scopes) else set()
    return TokenVerdict(
        is_valid=is_valid and not _over(data.get("expires_at"), now),
        missing_scopes=tuple(sorted(REQUIRED_SCOPES - granted)),
        data_access_expired=_over(data.get("data_access_expires_at"), now),
    )


@dataclass(frozen=True, slots=True)
class GraphTokens:
    """Asks the Graph API about tokens; ``app_token`` is ``<app id>|<app secret>``, else each token asks itself."""

    http: HttpClient
    app_token: str | None
    url: str = "https://graph.facebook.com/v15.0/debug_token"

    @classmethod
    def at_version(cls, http: HttpClient, app_token: str | None, version: str) -> GraphTokens:
        """The same at a version of the API, such as ``v15.0``."""
        return cls(http, app_token, f"https://graph.facebook.com/{version}/debug_token")

    async def check(self, token: str) -> TokenVerdict:
        """What the API says about a token, now.

        Raises:
            ProviderError: it could not be asked; neither token is in the text.
        """
        try:
            response = await self.http.request(
                "GET", self.url, params={"input_token": token, "access_token": self.app_token or token}
            )
            answer = response.json()
        except RequestFailed as error:
            raise self._clean(Unavailable(str(error)), token) from None
        if response.status >= 500:
            raise Unavailable(f"debug_token answered with status {response.status}")
        if self.app_token is None and _code(answer) == INVALID_TOKEN:
            return TokenVerdict(is_valid=False, missing_scopes=(), data_access_expired=False)
        if response.status != 200:
            raise self._clean(
                ProviderError(f"debug_token was refused: {_message(answer)}", status=response.status), token
            )
        return read_debug_token(answer, utc_now())

    def _clean(self, error: ProviderError, token: str) -> ProviderError:
        app_token = self.app_token or ""
        scrub_error(error, {"token": token, "app_token": app_token, "app_secret": app_token.rpartition("|")[2]})
        return error


def _over(moment: object, now: datetime) -> bool:
    if isinstance(moment, bool) or not isinstance(moment, (int, float)) or moment <= 0:
        return False
    return moment <= now.timestamp()


def _code(answer: Any) -> object:
    error = answer.get("error") if isinstance(answer, Mapping) else None
    return error.get("code") if isinstance(error, Mapping) else None


def _message(answer: Any) -> str:
    error = answer.get("error") if isinstance(answer, Mapping) else None
    return str(error.get("message", "no reason given")) if isinstance(error, Mapping) else "no reason given"
