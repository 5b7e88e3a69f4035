"""URLs as they go on the wire: encoded once, the same way every time."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import quote, unquote_plus, urljoin, urlsplit, urlunsplit

from utils.redact import is_secret_param, redact_url

DEFAULT_PORTS = {"http": 80, "https": 443}
USER_AGENT = "beat/1"
"""What Beat calls itself to the servers that it asks."""

_KEPT_IN_PATH = "/%:@!$&'()*+,;=~"
_KEPT_IN_QUERY = _KEPT_IN_PATH + "?[]"
_LONE_PERCENT = re.compile(r"%(?![0-9A-Fa-f]{2})")


def with_params(url: str, params: Mapping[str, Any] | None) -> str:
    """The URL with parameters added after those it has, in the order given."""
    query = encode_pairs(params or {})
    if not query:
        return url
    parts = urlsplit(url)
    return urlunsplit(parts._replace(query=f"{parts.query}&{query}" if parts.query else query, fragment=""))


def encode_pairs(pairs: Mapping[str, Any]) -> str:
    """Percent-encoded UTF-8 ``name=value&...``: everything but letters, digits and ``-._~`` is encoded.

    None is left out, a list repeats its name, a dict becomes compact JSON, True is ``true``.
    """
    return "&".join(f"{quote(name, safe='')}={quote(text, safe='')}" for name, text in _texts(pairs))


def _texts(pairs: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for name, value in pairs.items():
        for item in value if isinstance(value, list | tuple) else (value,):
            if isinstance(item, bool):
                yield name, "true" if item else "false"
            elif isinstance(item, dict):
                yield name, json.dumps(item, separators=(",", ":"), ensure_ascii=False)
            elif item is not None:
                yield name, str(item)


def clean(url: str) -> str:
    """An absolute http(s) URL in ASCII without user part and fragment; what is already encoded stays as it is.

    Raises:
        ValueError: no such URL; the text quotes it redacted.
    """
    try:
        parts = urlsplit(url.strip())
        host, port = parts.hostname, parts.port
    except ValueError as error:
        raise ValueError(f"not a URL: {redact_url(url)}") from error
    if parts.scheme not in DEFAULT_PORTS or not host or "@" in parts.netloc:
        raise ValueError(f"not an http(s) URL with a plain host: {redact_url(url)}")
    netloc = _ascii_host(host, url) + ("" if port in (None, DEFAULT_PORTS[parts.scheme]) else f":{port}")
    path = _LONE_PERCENT.sub("%25", quote(parts.path or "/", safe=_KEPT_IN_PATH))
    query = _LONE_PERCENT.sub("%25", quote(parts.query, safe=_KEPT_IN_QUERY))
    return urlunsplit((parts.scheme, netloc, path, query, ""))


def _ascii_host(host: str, url: str) -> str:
    if ":" in host:
        return f"[{host}]"
    try:
        name = host.encode("idna").decode("ascii") if not host.isascii() else host
    except UnicodeError as error:
        raise ValueError(f"not a host name: {redact_url(url)}") from error
    if not re.fullmatch(r"[A-Za-z0-9._-]+", name):
        raise ValueError(f"not a host name: {redact_url(url)}")
    return name


def target(url: str) -> str:
    """Path and query of a clean URL."""
    parts = urlsplit(url)
    return f"{parts.path}?{parts.query}" if parts.query else parts.path


def host_and_port(url: str) -> tuple[str, int]:
    """Host and effective port of a clean URL."""
    parts = urlsplit(url)
    return parts.hostname or "", parts.port or DEFAULT_PORTS[parts.scheme]


def resolve(url: str, location: str) -> str:
    """The clean URL that a Location header means.

    Raises:
        ValueError: not a URL that can be followed.
    """
    return clean(urljoin(url, location.strip()))


def without_secrets(query: str) -> str:
    """A query or form text without its credentials, for a host they were not meant for."""
    return "&".join(pair for pair in query.split("&") if not is_secret_param(unquote_plus(pair.split("=", 1)[0])))
