"""Which keys a credential of each source must have, and what makes two credentials the same one."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass

from utils.handles import bare_handle
from utils.request import OF_CONNECTION

GRAPH = "graphapi"
IDENTITY_NAMES = {GRAPH: "instagram_graph"}
"""Sources whose tokens accounts give to the identity service, and what it calls them."""


_HEADER = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_LONGEST, _LONGEST_IN_CLEAR = 4096, 255


class CredentialRefused(Exception):
    """A credential that cannot be stored; the message names what is missing and shows no value."""


@dataclass(frozen=True, slots=True)
class SourceKeys:
    """Names of a source's keys.

    ``identity`` is the key that stays when the others are renewed; it is stored in the clear only when ``public``.
    ``headers``: names are compared without case, because the whole credential is sent as headers.
    """

    required: tuple[str, ...]
    identity: str
    public: bool = False
    headers: bool = False
    handle_keeps_case: bool = False


_GATEWAY = SourceKeys(("X-RapidAPI-Key", "X-RapidAPI-Host"), identity="X-RapidAPI-Key", headers=True)

SOURCES: Mapping[str, SourceKeys] = {
    GRAPH: SourceKeys(("token", "user_id"), identity="user_id", public=True),
    "lama": SourceKeys(("x-access-key",), identity="x-access-key", headers=True),
    "rapidapi-arraybobo": _GATEWAY,
    "rapidapi-jotucker": _GATEWAY,
    "rapidapi-neotank": _GATEWAY,
    "rapidapi-bestsolutions": _GATEWAY,
    "rapidapi-igapi": _GATEWAY,
    "rocketapi": SourceKeys(("Authorization",), identity="Authorization", headers=True),
    "ytapitoken": SourceKeys(("key",), identity="key"),
    "ytapi": SourceKeys(
        ("refresh_token", "channel_id", "client_id", "client_secret"),
        identity="channel_id",
        public=True,
        handle_keeps_case=True,
    ),
    "yt-v31": _GATEWAY,
    "rapidapi-yt": _GATEWAY,
    "rapidapi-yt-search": _GATEWAY,
    "shopify": SourceKeys(("X-Shopify-Access-Token",), identity="X-Shopify-Access-Token", headers=True),
}


def checked_keys(source: str, keys: Mapping[str, object]) -> dict[str, str]:
    """The keys as they are stored: text without surrounding space, required headers under their usual names.

    Raises:
        CredentialRefused: unknown source, a key that is missing, or a value that is no plain text or too long.
    """
    rule = _rule(source)
    usual = {name.lower(): name for name in rule.required} if rule.headers else {}
    kept: dict[str, str] = {}
    for name, value in keys.items():
        kept[usual.get(name.lower(), name)] = text = _text(source, name, value)
        longest = _LONGEST_IN_CLEAR if rule.public and name == rule.identity else _LONGEST
        if len(text) > longest:
            raise CredentialRefused(f"{name} of a {source} credential is longer than {longest} characters")
        if rule.headers and not _sendable(name, text):
            raise CredentialRefused(f"{name!r} of a {source} credential cannot be sent as a header")
    missing = [name for name in rule.required if not kept.get(name)]
    if missing:
        raise CredentialRefused(f"a credential of {source} needs {' and '.join(missing)}")
    return kept


def idempotency_key(source: str, keys: Mapping[str, str]) -> str:
    """``<source>:<identity>`` of checked keys; a secret identity is stood for by the start of its SHA-256."""
    rule = _rule(source)
    identity = keys[rule.identity]
    if not rule.public:
        identity = "sha256-" + hashlib.sha256(f"{source}:{identity}".encode()).hexdigest()[:32]
    return f"{source}:{identity}"


def stored_handle(source: str, handle: str | None) -> str | None:
    """The handle as it is stored and looked up: without @ and case, but for ids that have one."""
    plain = bare_handle(handle or "")
    rule = SOURCES.get(source)
    return (plain if rule is not None and rule.handle_keeps_case else plain.lower()) or None


def _rule(source: str) -> SourceKeys:
    rule = SOURCES.get(source)
    if rule is None:
        raise CredentialRefused(f"there is no source {source!r}: it is one of {', '.join(SOURCES)}")
    return rule


def _sendable(name: str, text: str) -> bool:
    return text.isascii() and _HEADER.fullmatch(name) is not None and name.lower() not in OF_CONNECTION


def _text(source: str, name: str, value: object) -> str:
    if isinstance(value, bool) or not isinstance(value, (str, int)):
        raise CredentialRefused(f"{name} of a {source} credential must be text")
    text = str(value).strip()
    if not text.isprintable():
        raise CredentialRefused(f"{name} of a {source} credential holds line breaks or other control characters")
    return text
