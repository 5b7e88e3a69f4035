"""URLs of media: what may be asked for, where it may lead, and when it runs out. Nothing here touches the network."""

from __future__ import annotations

import re
from functools import lru_cache
from urllib.parse import quote, urljoin, urlsplit

from core.client.addresses import is_public
from core.client.errors import MediaRefused
from utils.urls import DEFAULT_PORTS

PORTS = frozenset(DEFAULT_PORTS.values())
_PRINTABLE = "".join(map(chr, range(0x21, 0x7F)))
_PLAIN = re.compile(r"[!-~]+")
_USUAL = re.compile(r"https?://([a-z0-9.-]+)/[!-\"$-\[\]-~]*")
"""What nearly all URLs look like: a host in lower case, and nothing that readers of URLs understand in several ways."""

_ABSOLUTE = re.compile(r"https?://", re.IGNORECASE)
_LABEL = r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?"
_NAME = re.compile(rf"(?:{_LABEL}\.)+{_LABEL}\.?", re.IGNORECASE)
_NUMBER = re.compile(r"\d+|0x[0-9a-f]*", re.IGNORECASE)
_EXPIRY = re.compile(r"[?&]oe=([^&]*)")
_OLD_EXPIRY = re.compile(r"/vp/[^/?]+/([^/?]+)/t51")
_EPOCH = re.compile(r"[0-9A-Fa-f]{8}")
_SIGNATURE = re.compile(r"(?:ccb|edm|efg|oe|oh|_nc_\w+)=")
"""Parameters of Instagram's CDN that change with each signing, and say nothing of the file."""

_LONGEST = 8192


def checked(url: str) -> str:
    """The URL as it goes on the wire: printable ASCII stays as it is, to the byte; a fragment is dropped. The scheme,
    which is not sent, is in lower case.

    Raises:
        MediaRefused: BAD_URL: not an http(s) URL with a plain host and port 80 or 443; REFUSED_ADDRESS: its host is an
            address that is not public, a number that some systems read as one, or a name of the local network.
    """
    if (usual := _USUAL.fullmatch(url)) and len(url) <= _LONGEST:
        _check_host(usual[1])
        return url
    url = url.strip(" \t\r\n").partition("#")[0]
    try:
        if not _PLAIN.fullmatch(url):
            url = quote(url, safe=_PRINTABLE, errors="surrogateescape")  # bytes of a header that are no text stay
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        raise MediaRefused("BAD_URL", "not a URL") from None
    if parts.scheme not in DEFAULT_PORTS:
        raise MediaRefused("BAD_URL", "only http and https URLs are fetched")
    if "@" in parts.netloc or "\\" in url or len(url) > _LONGEST:
        raise MediaRefused("BAD_URL", f"it has a user part, a backslash, or more than {_LONGEST} characters")
    if port is not None and port not in PORTS:
        raise MediaRefused("BAD_URL", f"port {port}: only 80 and 443 are dialled")
    _check_host(host)
    return parts.scheme + url[len(parts.scheme) :]  # in lower case


def _check_host(host: str) -> None:
    if (fault := _fault_of(host)) is not None:
        raise MediaRefused(*fault)


@lru_cache(maxsize=1024)
def _fault_of(host: str) -> tuple[str, str] | None:
    """Code and reason why a host is not asked; None when its name is in order."""
    bare = host.rstrip(".")
    if ":" in host or _NUMBER.fullmatch(bare.rpartition(".")[2]):
        try:
            public = is_public(host)
        except ValueError:
            public = False
        return None if public else ("REFUSED_ADDRESS", "the host is no public address in its usual form")
    if bare and "." not in bare:
        return "REFUSED_ADDRESS", "the host is a name of the local network"
    if not _NAME.fullmatch(host) or len(host) > 253:
        return "BAD_URL", "the host is no host name"
    return None


def redirected(url: str, location: str) -> str:
    """The checked URL that a Location header means.

    Raises:
        MediaRefused: as ``checked``; BAD_REDIRECT: it leads from https to http, or to no URL.
    """
    location = location.strip()
    try:
        joined = urljoin(url, location)  # which rewrites some URLs that are whole already
    except ValueError:
        raise MediaRefused("BAD_REDIRECT", "a redirect to something that is no URL") from None
    following = checked(location if _ABSOLUTE.match(location) else joined)
    if url.startswith("https:") and not following.startswith("https:"):
        raise MediaRefused("BAD_REDIRECT", "a redirect from https to http")
    return following


def expires_at(url: str) -> int | None:
    """Epoch seconds at which the URL's signature runs out; None when it does not say so in a form that is known."""
    found = _EXPIRY.search(url) or _OLD_EXPIRY.search(url)
    return int(found[1], 16) if found and _EPOCH.fullmatch(found[1]) else None


def same_file(before: str, now: str) -> bool:
    """Whether two URLs differ in the CDN's host and the signature only: an ETag or a date says nothing of another file,
    and a date is that of all sizes of a picture."""
    try:
        one, other = urlsplit(before), urlsplit(now)
    except ValueError:
        return False
    same_place = _domain(one.netloc) == _domain(other.netloc) and one.path == other.path
    return len(other.path) > 1 and same_place and _asked_for(one.query) == _asked_for(other.query)


def _domain(host: str) -> list[str]:
    return host.lower().split(".")[-2:]


def _asked_for(query: str) -> list[str]:
    return [pair for pair in query.split("&") if not _SIGNATURE.match(pair)]


def host_of(url: str) -> str:
    """The host, which is all of a URL that messages and logs show."""
    usual = _USUAL.fullmatch(url)
    return usual[1] if usual else urlsplit(url).hostname or "?"
