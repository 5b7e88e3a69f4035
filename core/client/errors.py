"""How copying one file can end instead of being stored.

    MediaError            the task later
    ├── UrlExpired        fails: only a new URL helps
    ├── MediaRefused      fails: the same bytes or address would be refused again
    ├── MediaUnavailable  back-off, up to max_retries; when the CDN said when, then; later if this host is at fault
    ├── StoreRefused      back-off, up to max_retries: the store's settings are wrong
    └── StoreUnavailable  held: again later, without using up attempts, however long that takes

Every error can be pickled. No text holds a query: signed ones are as good as a password until they expire.
"""

from __future__ import annotations

from core.crawler.errors import Retry

URL_EXPIRED = "URL_EXPIRED"
SPOOL_FULL, LARGE_SLOW = "SPOOL_FULL", "LARGE_SLOW"
_FIRST_BACKOFF_S = 2.0


class MediaError(Exception):
    """``code`` is a constant for ``error_code``; ``retry_after_s`` is the least wait when somebody said one."""

    retry: Retry = Retry.BACKOFF

    def __init__(self, code: str, message: str, *, retry_after_s: float | None = None) -> None:
        super().__init__(code, message)
        self.code = code
        self.message = message
        self.retry_after_s = retry_after_s

    def __str__(self) -> str:
        return f"{self.code}: {self.message}"


class UrlExpired(MediaError):
    """The URL is dead: its signature has run out or does not fit, or the CDN knows no such file (403, 404, 410).

    ``code`` is always URL_EXPIRED.
    """

    retry = Retry.NEVER

    def __init__(self, message: str) -> None:
        super().__init__(URL_EXPIRED, message)
        self.args = (message,)


class MediaRefused(MediaError):
    """What is asked for, or what came, is not to be stored.

    Codes: BAD_URL, REFUSED_ADDRESS, BAD_REDIRECT, BAD_STATUS, TOO_LARGE, NOT_MEDIA (a page or JSON), BAD_TYPE,
    NOT_DECODABLE, BAD_ENTITY (no key can be made of the entity).
    """

    retry = Retry.NEVER


class MediaUnavailable(MediaError):
    """The CDN did not give the whole file this time. Where it said how long to wait, and that is longer than the first
    back-off, the task runs again then, without using up an attempt; so it does later when it is this host that has no
    name server, network or sockets.

    Codes: TIMEOUT, CONNECTION, DNS, TLS, SERVER_ERROR, THROTTLED, TRUNCATED, EMPTY, BAD_ANSWER.
    """

    def __init__(self, code: str, message: str, *, retry_after_s: float | None = None) -> None:
        super().__init__(code, message, retry_after_s=retry_after_s)
        if retry_after_s is not None and retry_after_s > _FIRST_BACKOFF_S:
            self.retry = Retry.LATER


class StoreRefused(MediaError):
    """The object store refuses for a reason that waiting does not mend. Code: STORE_REFUSED. ``status`` is the HTTP
    status of small requests, 0 otherwise."""

    def __init__(self, code: str, message: str, *, status: int = 0) -> None:
        super().__init__(code, message)
        self.status = status


class StoreUnavailable(MediaError):
    """The object store is away or throttles, there is no room, turn or time for a large file, or two copies of one
    asset crossed. Codes: STORE_DOWN, STORE_SLOW, SPOOL_FULL, LARGE_SLOW, OVERTAKEN. Nothing is wrong with the task."""

    retry = Retry.HELD

    @property
    def of_large(self) -> bool:
        """Whether it says nothing of pictures, which need no disk and no turn."""
        return self.code in (SPOOL_FULL, LARGE_SLOW)
