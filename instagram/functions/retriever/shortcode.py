"""A shortcode is its media's number, written in base 64."""

from __future__ import annotations

_ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
_DIGITS = {digit: value for value, digit in enumerate(_ALPHABET)}
_PUBLIC = 11
"""Longer shortcodes are those of private posts: what follows is a secret, not part of the number."""
_LONGEST_PK = 20


def media_pk(shortcode: str) -> str | None:
    """``CnOAG9Tl0uH`` -> ``3012345678901234567``; None when it is no shortcode."""
    number = 0
    for letter in shortcode[:_PUBLIC]:
        if letter not in _DIGITS:
            return None
        number = number * 64 + _DIGITS[letter]
    return str(number) if number else None


def shortcode_of(pk: str) -> str | None:
    """``3012345678901234567`` -> ``CnOAG9Tl0uH``; None when it is no media pk."""
    if not (pk.isascii() and pk.isdigit() and len(pk) <= _LONGEST_PK):
        return None
    number, letters = int(pk), ""
    while number:
        number, digit = divmod(number, 64)
        letters = _ALPHABET[digit] + letters
    return letters or None
