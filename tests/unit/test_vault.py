"""Sealing and opening credentials."""

from __future__ import annotations

import base64
import copy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from credentials.vault import Vault, VaultError, mask, new_key

KEYS = {"token": "EAAB-planted-secret-0123456789", "user_id": "17841400000000001"}
OLD = new_key("old")
NEW = new_key("new")


@given(st.dictionaries(st.text(), st.text()), st.text())
def test_what_was_sealed_is_opened_again(keys: dict[str, str], row: str) -> None:
    vault = Vault.from_ring(NEW)
    assert vault.open(vault.seal(keys, bound_to=row), bound_to=row) == keys


def test_the_first_key_seals_and_every_key_opens() -> None:
    sealed_before = Vault.from_ring(OLD).seal(KEYS, bound_to="1")
    ring = Vault.from_ring(f" {NEW} , {OLD},")
    assert ring.open(sealed_before, bound_to="1") == KEYS
    assert ring.seal(KEYS, bound_to="1")["kid"] == "new"


def test_sealing_twice_gives_different_envelopes_without_the_secret() -> None:
    vault = Vault.from_ring(NEW)
    first, second = (vault.seal(KEYS, bound_to="1") for _ in range(2))
    assert first["nonce"] != second["nonce"]
    assert first["ct"] != second["ct"]
    assert KEYS["token"] not in str(first)
    assert KEYS["token"].encode() not in base64.b64decode(first["ct"])


def test_an_envelope_does_not_open_in_another_row() -> None:
    vault = Vault.from_ring(NEW)
    with pytest.raises(VaultError, match="another row"):
        vault.open(vault.seal(KEYS, bound_to="credential:1:lama"), bound_to="credential:2:lama")


def test_a_key_that_left_the_ring_is_named() -> None:
    with pytest.raises(VaultError, match=r"'old'.*BEAT_KEYS"):
        Vault.from_ring(NEW).open(Vault.from_ring(OLD).seal(KEYS, bound_to="1"), bound_to="1")


def test_another_key_under_the_same_id_does_not_open() -> None:
    with pytest.raises(VaultError, match="changed since"):
        Vault.from_ring(new_key("old")).open(Vault.from_ring(OLD).seal(KEYS, bound_to="1"), bound_to="1")


@pytest.mark.parametrize("part", ["nonce", "ct"])
@given(place=st.integers(0, 10_000), flip=st.integers(1, 255))
def test_one_changed_byte_is_noticed(part: str, place: int, flip: int) -> None:
    vault = Vault.from_ring(NEW)
    envelope = vault.seal(KEYS, bound_to="1")
    damaged = bytearray(base64.b64decode(envelope[part]))
    damaged[place % len(damaged)] ^= flip
    envelope[part] = base64.b64encode(bytes(damaged)).decode()
    with pytest.raises(VaultError):
        vault.open(envelope, bound_to="1")


def _without(name: str) -> Any:
    envelope = copy.copy(Vault.from_ring(NEW).seal(KEYS, bound_to="1"))
    del envelope[name]
    return envelope


@pytest.mark.parametrize(
    "envelope",
    [
        {},
        [],
        None,
        "text",
        KEYS,
        {"v": 2, "kid": "new", "nonce": "", "ct": ""},
        {"v": 1, "kid": 7, "nonce": "AA==", "ct": "AA=="},
    ]
    + [_without(name) for name in ("v", "kid", "nonce", "ct")]
    + [{"v": 1, "kid": "new", "nonce": "?", "ct": "?"}],
)
def test_what_is_no_envelope_is_refused_without_being_quoted(envelope: Any) -> None:
    with pytest.raises(VaultError) as refusal:
        Vault.from_ring(NEW).open(envelope, bound_to="1")
    assert KEYS["token"] not in str(refusal.value)


@pytest.mark.parametrize(
    ("ring", "problem"),
    [
        ("", "is empty"),
        (" , ", "is empty"),
        ("bm8gaWQ=", "entry 1 needs an id"),
        (":" + OLD.partition(":")[2], "entry 1 needs an id"),
        (f"{NEW},old:***", r"entry 2 \(old\) is not base64"),
        ("a:c2hvcnQ=", r"entry 1 \(a\) is 5 bytes long, not 32"),
        (f"{NEW},{new_key('new')}", "entry 2 repeats the id new"),
    ],
    ids=["empty", "commas", "no id", "an empty id", "not base64", "a short key", "an id twice"],  # no keys: they change
)
def test_a_ring_that_does_not_parse_says_what_to_do_and_shows_no_key(ring: str, problem: str) -> None:
    with pytest.raises(
        VaultError, match=rf"BEAT_KEYS.*{problem}.*credentials key" if "empty" not in problem else "BEAT_KEYS is empty"
    ) as refusal:
        Vault.from_ring(ring)
    assert NEW.partition(":")[2] not in str(refusal.value)


def test_the_vault_shows_only_the_ids_of_its_keys() -> None:
    assert repr(Vault.from_ring(f"{NEW},{OLD}")) == "Vault(new, old)"


@given(st.text())
def test_a_mask_shows_at_most_the_last_quarter_of_a_value(value: str) -> None:
    shown = mask(value)
    assert shown == "…" or (len(value) >= 16 and shown == "…" + value[-4:])
