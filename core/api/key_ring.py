"""The keys of the API: their scopes, what is kept of them, and who is behind one.

A key has one scope. ``read`` asks for profiles, posts and tasks, ``write`` also queues, refreshes what is fresh and
hands in users' tokens, ``admin`` also stores credentials and moves the heartbeat. A key may belong to an account: what
it queues is that account's, and it sees no other account's tasks.
"""

from __future__ import annotations

import hashlib
import secrets
import time
from dataclasses import dataclass

from starlette.exceptions import HTTPException

from utils.db import Database

READ, WRITE, ADMIN = SCOPES = ("read", "write", "admin")

REMEMBERED_S = 5.0
"""How long a key is believed without a look at the database: a revoked one works no longer than that."""

PREFIX = "beat_"
"""What a key begins with, so that who finds one knows what it opens."""

FIND = """
select name, scope, account_id from api_key where digest = $1 and (expires_at is null or expires_at > now())"""


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks: the name of a key, its scope, and the account whose tasks it is kept to (None: all)."""

    name: str
    scope: str
    account_id: str | None = None

    def may(self, scope: str) -> bool:
        """Whether the key's scope includes this one."""
        return SCOPES.index(self.scope) >= SCOPES.index(scope)

    def demand(self, scope: str) -> None:
        """Nothing, if the key's scope includes this one.

        Raises:
            HTTPException: 403, it does not.
        """
        if not self.may(scope):
            raise HTTPException(403, f"The key {self.name} has the scope {self.scope}, this needs {scope}")

    def account(self, named: str | None) -> str | None:
        """The account of a request that names this one.

        Raises:
            HTTPException: 403, the key belongs to another account.
        """
        if self.account_id is None:
            return named
        if named not in (None, self.account_id):
            raise HTTPException(403, f"The key {self.name} belongs to another account than the one named")
        return self.account_id

    def sees(self, account_id: str | None) -> bool:
        """Whether tasks of this account are the key's business."""
        return self.account_id in (None, account_id)


ANYBODY = Caller("anybody", ADMIN)
"""Who asks a server that wants no keys."""


def new_key() -> str:
    """A key nobody has: 256 random bits, which need no slow hash."""
    return PREFIX + secrets.token_urlsafe(32)


def digest_of(key: str) -> bytes:
    """What is kept of a key: 32 bytes."""
    return hashlib.sha256(key.encode()).digest()


class KeyRing:
    """The keys of table ``api_key``, each remembered for a few seconds; what is unknown is looked up every time."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._known: dict[bytes, tuple[float, Caller]] = {}

    async def caller(self, key: str) -> Caller | None:
        """Whose key this is; None for what is no key, has expired or was revoked.

        Raises:
            DBAPIError: the database cannot be asked.
        """
        digest, now = digest_of(key), time.monotonic()
        known = self._known.get(digest)
        if known is not None and now < known[0]:
            return known[1]
        rows = await self._database.fetch(FIND, digest)
        if not rows:
            self._known.pop(digest, None)
            return None
        caller = Caller(**rows[0])
        self._known[digest] = now + REMEMBERED_S, caller
        return caller
