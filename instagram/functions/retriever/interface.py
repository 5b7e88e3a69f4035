"""What every Instagram source is: one method and one parser per function it offers, and one way to read errors.

The names of the functions are those of ``instagram.models.functions``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from core.crawler.errors import CredentialInvalid, ProviderError
from core.crawler.provider import Provider
from instagram.functions.retriever.judge import STATUS_ERRORS, judge


class InstagramProvider(Provider):
    """A source of Instagram data."""

    status_errors: ClassVar[Mapping[int, type[ProviderError]]] = STATUS_ERRORS

    @classmethod
    def judge(cls, status: int, headers: Mapping[str, str], data: Any) -> ProviderError | None:  # noqa: ARG003 - bodies and statuses say it all
        return judge(status, data, cls.status_errors)

    def key(self, name: str) -> str:
        """A value of the credential.

        Raises:
            CredentialInvalid: the credential lacks it.
        """
        for given, value in self.credential.keys.items():
            if given.lower() == name and value:
                return value
        raise CredentialInvalid(f"credential {self.credential.id} of {self.source} has no {name}")


class RapidApiProvider(InstagramProvider):
    """A source behind the RapidAPI gateway: a key and a host name in headers."""

    def headers(self) -> Mapping[str, str]:
        host = self.base_url.removeprefix("https://")
        return {"X-RapidAPI-Key": self.key("x-rapidapi-key"), "X-RapidAPI-Host": host}


def given(**params: str | int | None) -> dict[str, str | int]:
    """Query parameters that have a value."""
    return {name: value for name, value in params.items() if value is not None}
