"""Sealing credentials so that the database alone does not give them away, nor move them from row to row."""

from __future__ import annotations

import base64
import binascii
import json
import os
import re
from collections.abc import Mapping
from typing import Any, Self

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

VARIABLE = "BEAT_KEYS"
KEY_COMMAND = "python -m scripts.beatctl credentials key"
VERSION = 1
_KEY_BYTES = 32
_NONCE_BYTES = 12
_KEY_ID = re.compile(r"[A-Za-z0-9_.-]{1,32}")
_SHOWN = 4


class VaultError(Exception):
    """Something cannot be sealed or opened; the message says which key or variable it hangs on, and no secret."""


class Vault:
    """A ring of keys: the first seals, all open. AES-256-GCM; each sealing has a nonce of its own."""

    def __init__(self, keys: Mapping[str, bytes]) -> None:
        if not keys:
            raise VaultError(f"{VARIABLE} is empty: set it to id:key; `{KEY_COMMAND}` prints one")
        self._ciphers = {kid: AESGCM(key) for kid, key in keys.items()}
        self.sealing_key = next(iter(keys))

    def __repr__(self) -> str:
        return f"Vault({', '.join(self._ciphers)})"

    @classmethod
    def from_ring(cls, text: str) -> Self:
        """The ring ``id:base64-of-32-bytes``, entries separated by commas.

        Raises:
            VaultError: the ring is empty or an entry does not parse.
        """
        keys: dict[str, bytes] = {}
        for place, entry in enumerate((part.strip() for part in text.split(",") if part.strip()), start=1):
            kid, _, encoded = entry.partition(":")
            problem = _problem(kid, encoded, keys)
            if problem:
                raise VaultError(f"{VARIABLE}: entry {place} {problem}; `{KEY_COMMAND}` prints a good one")
            keys[kid] = base64.b64decode(encoded)
        return cls(keys)

    def seal(self, keys: Mapping[str, str], *, bound_to: str) -> dict[str, Any]:
        """An envelope ``{v, kid, nonce, ct}`` that opens only as ``bound_to``."""
        nonce = os.urandom(_NONCE_BYTES)
        text = json.dumps(dict(keys), sort_keys=True).encode()
        sealed = self._ciphers[self.sealing_key].encrypt(nonce, text, _bound(self.sealing_key, bound_to))
        return {
            "v": VERSION,
            "kid": self.sealing_key,
            "nonce": base64.b64encode(nonce).decode(),
            "ct": base64.b64encode(sealed).decode(),
        }

    def open(self, envelope: Mapping[str, Any], *, bound_to: str) -> dict[str, str]:
        """What was sealed.

        Raises:
            VaultError: the key is not on the ring, or the envelope was changed, belongs to another row or is none.
        """
        kid, nonce, sealed = _parts(envelope)
        cipher = self._ciphers.get(kid)
        if cipher is None:
            raise VaultError(
                f"sealed with key {kid!r}, which is not on the ring: add it to {VARIABLE}, after the first"
            )
        try:
            opened = json.loads(cipher.decrypt(nonce, sealed, _bound(kid, bound_to)))
        except (InvalidTag, ValueError) as error:
            raise VaultError(f"changed since it was sealed with key {kid!r}, or sealed for another row") from error
        return {str(name): str(value) for name, value in opened.items()}


def new_key(kid: str) -> str:
    """A fresh ring entry.

    Raises:
        VaultError: the id would not parse.
    """
    if not _KEY_ID.fullmatch(kid):
        raise VaultError("a key id is 1 to 32 letters, digits, dots, dashes or underscores")
    return f"{kid}:{base64.b64encode(os.urandom(_KEY_BYTES)).decode()}"


def mask(value: str) -> str:
    """A secret as it may be shown: its last four characters when it is long enough not to be given away by them."""
    return f"…{value[-_SHOWN:]}" if len(value) >= 4 * _SHOWN else "…"


def _problem(kid: str, encoded: str, known: Mapping[str, bytes]) -> str | None:
    if not _KEY_ID.fullmatch(kid):
        return "needs an id before its colon"
    if kid in known:
        return f"repeats the id {kid}"
    try:
        key = base64.b64decode(encoded, validate=True)
    except (binascii.Error, ValueError):
        return f"({kid}) is not base64"
    return None if len(key) == _KEY_BYTES else f"({kid}) is {len(key)} bytes long, not {_KEY_BYTES}"


def _bound(kid: str, bound_to: str) -> bytes:
    return json.dumps([VERSION, kid, bound_to]).encode()


def _parts(envelope: Mapping[str, Any]) -> tuple[str, bytes, bytes]:
    try:
        version, kid = envelope["v"], envelope["kid"]
        nonce, sealed = (base64.b64decode(envelope[name], validate=True) for name in ("nonce", "ct"))
    except (KeyError, TypeError, ValueError) as error:
        raise VaultError("this is no sealed credential: nonce, ciphertext or key id is missing or damaged") from error
    if version != VERSION or not isinstance(kid, str) or len(nonce) != _NONCE_BYTES:
        raise VaultError("this credential was not sealed by this version of Beat")
    return kid, nonce, sealed
