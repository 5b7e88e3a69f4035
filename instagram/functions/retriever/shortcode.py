"""A shortcode is its media's number, written in base 64."""

from __future__ import annotations

_DIGITS = {
    digit: value for value, digit in enumerate("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_")
}
_PUBLIC = 11
"""Longer shortcodes are those of private posts: what follows is a secret, not part of the number."""


def media_pk(shortcode: str) -> str | None:
    """``CnOAG9Tl0uH`` -> ``3012345678901234567``; None when it is no shortcode."""
    number = 0
    for letter in shortcode[:_PUBLIC]:
        if letter not in _DIGITS:
            return None
        number = number * 64 + _DIGITS[letter]
    return str(number) if number else None
