"""Numbers of the made-up world and their inverses: whoever holds an id finds its owner without a table.

A creator's pk carries its index; a media pk has Instagram's own layout (milliseconds, then 23 low bits), and the low
bits carry creator and position; Graph ids are other numbers for the same things.
"""

from __future__ import annotations

ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
_DIGIT = {letter: value for value, letter in enumerate(ALPHABET)}

MAX_CREATORS = 1 << 17
SLOTS = 1 << 6  # media per creator: posts 0-59, stories 60-63
FIRST_STORY = 60

_PK_BASE, PK_STEP = 3_000_000_000, 61_043
_FBID_BASE = 17_841_400_000_000_000
_EPOCH_MS = 1_314_220_021_721
_GRAPH_BASE, _GRAPH_STEP = 17_800_000_000_000_000, 1_000_003


def creator_pk(index: int, jitter: int) -> int:
    """Instagram user id; ``jitter`` in [0, PK_STEP) makes it differ from seed to seed."""
    return _PK_BASE + index * PK_STEP + jitter


def index_of_pk(pk: int) -> int:
    """Index that this pk would have; the caller checks that the creator really carries it."""
    return (pk - _PK_BASE) // PK_STEP


def fbid_of_pk(pk: int) -> int:
    """The 1784... id by which Graph knows the account."""
    return _FBID_BASE + pk


def pk_of_fbid(fbid: int) -> int:
    """Inverse of fbid_of_pk."""
    return fbid - _FBID_BASE


def media_pk(taken_at: int, index: int, slot: int) -> int:
    """Media id above 2^53, growing with time, as Instagram's."""
    return ((taken_at * 1000 - _EPOCH_MS) << 23) | (index << 6) | slot


def owner_of_media(pk: int) -> tuple[int, int]:
    """(creator index, slot) that the low bits name."""
    low = pk & ((1 << 23) - 1)
    return low >> 6, low & (SLOTS - 1)


def graph_media_id(index: int, slot: int, child: int = 0) -> int:
    """The 178... media id of Graph; children of a carousel have their own."""
    return _GRAPH_BASE + (index * SLOTS + slot) * _GRAPH_STEP + child


def owner_of_graph_id(graph_id: int) -> tuple[int, int] | None:
    """(creator index, slot), or None for a number that is no media id."""
    code, child = divmod(graph_id - _GRAPH_BASE, _GRAPH_STEP)
    return divmod(code, SLOTS) if code >= 0 and child == 0 else None


def shortcode_of(pk: int) -> str:
    """Media pk in base 64, most significant digit first."""
    text = ""
    while pk:
        pk, digit = divmod(pk, 64)
        text = ALPHABET[digit] + text
    return text


def pk_of_shortcode(shortcode: str) -> int | None:
    """Inverse of shortcode_of; None for letters outside the alphabet."""
    value = 0
    for letter in shortcode[:32]:
        digit = _DIGIT.get(letter)
        if digit is None:
            return None
        value = value * 64 + digit
    return value
