"""A credential's secrets out of what an exception says."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from urllib.parse import quote, quote_plus

from core.crawler.errors import Malformed, ProviderError
from utils.redact import MASK, redact_text

PUBLIC_KEYS = frozenset({"user_id", "channel_id", "client_id", "x-rapidapi-host"})
"""Names of credential keys, lower case, whose values may be shown."""

_LEAST_SECRET = 4
_LONGEST_TEXT = 500


def secrets_of(keys: Mapping[str, str]) -> list[str]:
    """Every text that must not be shown, longest first: secret values, their words, and how a URL writes them."""
    values = [str(value) for name, value in keys.items() if name.lower() not in PUBLIC_KEYS]
    words = [word for value in values for word in value.split() if len(word) > 2 * _LEAST_SECRET]
    plain = {text for text in (*values, *words) if len(text) >= _LEAST_SECRET}
    written = {form for text in plain for form in (text, quote(text, safe=""), quote_plus(text), repr(text)[1:-1])}
    return sorted(written, key=len, reverse=True)


def scrub_text(text: str, secrets: Iterable[str]) -> str:
    """The text without these secrets and without anything that looks like one, as text that UTF-8 can carry; at most
    500 characters."""
    for secret in secrets:
        text = text.replace(secret, MASK)
    return redact_text(text[: 4 * _LONGEST_TEXT])[:_LONGEST_TEXT].encode(errors="replace").decode()


def scrub_error(error: ProviderError, keys: Mapping[str, str]) -> None:
    """Clean the error's own text, and cut the chain of causes where one of them tells a secret."""
    secrets = secrets_of(keys)
    error.message = scrub_text(error.message, secrets)
    error.args = (error.message,)
    if isinstance(error, Malformed):
        error.path = scrub_text(error.path, secrets)
    link: BaseException = error
    while (cause := link.__cause__ or link.__context__) is not None:
        if any(secret in f"{cause!r} {cause}" for secret in secrets):
            link.__cause__ = link.__context__ = None
            return
        link = cause
