"""Which migrations are missing, and which are newer than the code."""

from __future__ import annotations

from typing import Any

import pytest

from core.schema import Lacking, newer_migrations, warn_of_newer


def test_migrations_that_are_all_known_are_none_that_are_newer() -> None:
    assert newer_migrations({1: "first", 2: "second"}, 2) == ()


def test_those_after_the_known_ones_are_named_and_told(logged: list[dict[str, Any]]) -> None:
    newer = newer_migrations({1: "first", 2: "second", 3: "third", 12: "twelfth"}, 2)
    warn_of_newer(newer)
    warn_of_newer(())
    assert [line["migrations"] for line in logged] == ["0003_third, 0012_twelfth"]


@pytest.mark.parametrize(("missing", "recorded"), [("0001", {2: "b", 3: "c"}), ("0003", {1: "a", 2: "b", 4: "d"})])
def test_one_that_the_code_needs_and_is_missing_is_named(missing: str, recorded: dict[int, str]) -> None:
    with pytest.raises(Lacking, match=f"migration {missing} is missing"):
        newer_migrations(recorded, 3)
