"""What went wrong on the network, as a class and in words that hold nothing of the URL or the answer."""

from __future__ import annotations

import errno
import socket
import ssl

import aiohttp

from core.client.errors import MediaError, MediaRefused, MediaUnavailable
from core.crawler.errors import Retry

_OWN = frozenset(
    {
        socket.EAI_AGAIN,  # no name server answers
        errno.EADDRNOTAVAIL,
        errno.EMFILE,
        errno.ENETDOWN,
        errno.ENETUNREACH,
        errno.ENFILE,
        errno.ENOBUFS,
        errno.ENOMEM,
    }
)
"""What is wrong with this host or its way out says nothing of a URL: an outage of minutes must not fail all tasks."""


def cdn_failure(error: Exception, host: str) -> MediaError:
    """The error that a failed download ends with."""
    if isinstance(error, aiohttp.InvalidURL):
        return MediaRefused("BAD_URL", "not a URL that can be requested")
    failure = MediaUnavailable(_code(error), f"{host}: {words(error)}")
    if isinstance(error, OSError) and error.errno in _OWN:
        failure.retry = Retry.LATER  # not held: a domain whose name servers are gone looks the same
    return failure


def _code(error: Exception) -> str:
    if isinstance(error, TimeoutError):
        return "TIMEOUT"
    if isinstance(error, aiohttp.ClientConnectorDNSError):
        return "DNS"
    if isinstance(error, aiohttp.ClientSSLError):  # certificates too
        return "TLS"
    if isinstance(error, aiohttp.ClientPayloadError):
        return "TRUNCATED"
    if isinstance(error, aiohttp.ClientResponseError | ValueError):
        return "BAD_ANSWER"
    return "CONNECTION"


async def first_bytes(response: aiohttp.ClientResponse, most: int) -> bytes:
    """The start of an answer's body, up to ``most`` bytes, in however many pieces it comes.

    Raises:
        aiohttp.ClientError, OSError: it does not come.
    """
    found = b""
    while len(found) < most and (piece := await response.content.read(most - len(found))):
        found += piece
    return found


def words(error: Exception) -> str:
    """What happened, for a message."""
    if isinstance(error, TimeoutError):
        return "too slow"
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        cause = error.certificate_error
        return f"certificate not trusted: {getattr(cause, 'verify_message', type(cause).__name__)}"
    if isinstance(error, aiohttp.ClientPayloadError):
        return "the answer ended before its end"
    if isinstance(error, aiohttp.ClientResponseError):
        return "the answer is not valid HTTP"
    if isinstance(error, ssl.SSLError):
        return f"TLS failed: {error.reason}"
    if isinstance(error, OSError):
        return error.strerror or type(error).__name__
    return type(error).__name__
