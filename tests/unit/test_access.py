"""Tokens of callers' users: what is read as one, and that none is shown."""

from __future__ import annotations

import pytest
from pydantic import TypeAdapter, ValidationError

from core.api.access import Access, Token, UserId

TOKEN = TypeAdapter(Token)
USER_ID = TypeAdapter(UserId)


def test_what_stands_around_a_token_and_an_id_is_left_out() -> None:
    assert (TOKEN.validate_python(" EAAB-1|x\r\n"), USER_ID.validate_python(" 178\n")) == ("EAAB-1|x", "178")


@pytest.mark.parametrize("given", ["", " ", "two words", "a\x7fb", "a\nb", "t\xf6ken"])
def test_a_token_is_one_word_of_ascii(given: str) -> None:
    with pytest.raises(ValidationError, match="one word of printable ASCII"):
        TOKEN.validate_python(given)


@pytest.mark.parametrize("given", ["", "x1", "1 2", "-1", "\u0661\u0662", "1" * 31])
def test_an_id_is_digits(given: str) -> None:
    with pytest.raises(ValidationError, match="must be digits"):
        USER_ID.validate_python(given)


def test_a_token_does_not_show_in_the_text_of_its_access() -> None:
    assert repr(Access("EAAB-1", "178")) == str(Access("EAAB-1", "178")) == "Access(user_id='178')"
