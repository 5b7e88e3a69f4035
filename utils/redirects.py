"""Which redirects are followed, with what, and what must not travel to another host."""

from __future__ import annotations

from dataclasses import replace
from urllib.parse import urlsplit, urlunsplit

from utils.redact import is_secret_header
from utils.request_errors import BadRedirect, where
from utils.transport import Incoming, Outgoing
from utils.urls import host_and_port, resolve, target, without_secrets

_FOLLOWED = frozenset({301, 302, 303, 307, 308})
_FORM = "application/x-www-form-urlencoded"


def follow(request: Outgoing, answer: Incoming) -> Outgoing | None:
    """The next request, or None when the answer is final (304, and 3xx without Location, too).

    303 turns everything but HEAD into GET, 301 and 302 turn POST into GET, 307 and 308 repeat method and body.

    Raises:
        BadRedirect: to another scheme than http(s), from https to http, or to no URL at all.
    """
    if answer.status not in _FOLLOWED or not answer.headers.get("location", "").strip():
        return None
    try:
        url = resolve(request.url, answer.headers["location"])
    except ValueError:
        url = ""
    if not url:
        raise BadRedirect("a redirect to something that is no http(s) URL", where(request.method, request.url))
    if urlsplit(request.url).scheme == "https" and urlsplit(url).scheme == "http":
        raise BadRedirect("a redirect from https to http", where(request.method, request.url))
    following = replace(request, url=url, target=target(url))
    if not _same_host(request.url, url):
        following = _for_a_stranger(following)
    if _becomes_get(request.method, answer.status):
        following = _as_get(following)
    return following


def _becomes_get(method: str, status: int) -> bool:
    return (status == 303 and method not in ("GET", "HEAD")) or (status in (301, 302) and method == "POST")


def _as_get(request: Outgoing) -> Outgoing:
    headers = {name: value for name, value in request.headers.items() if not name.startswith("content-")}
    return replace(request, method="GET", headers=headers, body=b"")


def _same_host(before: str, after: str) -> bool:
    """The same host and port; the step from http to https on standard ports counts as the same."""
    if host_and_port(before) == host_and_port(after):
        return True
    old, new = urlsplit(before), urlsplit(after)
    upgraded = (old.scheme, old.port, new.scheme, new.port) == ("http", None, "https", None)
    return upgraded and old.hostname == new.hostname


def _for_a_stranger(request: Outgoing) -> Outgoing:
    """The request without credentials in headers, query and form."""
    parts = urlsplit(request.url)
    url = urlunsplit(parts._replace(query=without_secrets(parts.query)))
    headers = {name: value for name, value in request.headers.items() if not is_secret_header(name)}
    body = request.body
    if headers.get("content-type", "").startswith(_FORM):
        body = without_secrets(body.decode("latin-1")).encode("latin-1")
    return replace(request, url=url, target=target(url), headers=headers, body=body)
