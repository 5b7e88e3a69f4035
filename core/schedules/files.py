"""Schedules as people write them: a TOML file with one ``[[schedule]]`` table each."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable
from datetime import timedelta
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from core.schedules.schedule import Schedule
from utils.json_safe import json_safe, storable
from utils.times import duration

NEVER = "never"


class BadFile(Exception):
    """The file cannot be used; the text names every entry and field that is wrong."""


def _duration(value: object) -> object:
    """A word like ``6h``, or seconds; ``never`` is null."""
    if value == NEVER:
        return None
    if isinstance(value, bool):
        raise ValueError("write it as 12h, 30d or 8w, or as seconds")  # noqa: TRY004 - pydantic's
    return duration(value) if isinstance(value, str) else value


def _query(value: object) -> object:
    return value.strip().rstrip(";").rstrip() if isinstance(value, str) else value


Word = Annotated[str, Field(min_length=1, max_length=255), AfterValidator(storable)]
Length = Annotated[timedelta, Field(ge=timedelta(seconds=1), le=timedelta(days=999_999))]
Time = Annotated[Length | None, BeforeValidator(_duration)]
Template = Annotated[dict[str, Any], AfterValidator(storable), AfterValidator(json_safe)]


class Entry(BaseModel):
    """One schedule of a file. What is left out has its default, but ``enabled`` stays what it was."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,62}$")
    cron: Word
    flow: Word
    platform: Word | None = None
    params: Template = Field(default_factory=dict)
    candidates: Annotated[str, Field(min_length=1), AfterValidator(storable), BeforeValidator(_query)] | None = None
    max_rows: int = Field(1000, ge=1, le=100_000, strict=True)
    dedup_window: Time = None
    expires_in: Time = timedelta(hours=1)
    priority: int | None = Field(None, gt=-(2**31), lt=2**31, strict=True)
    enabled: bool | None = None

    def schedule(self) -> Schedule:
        """Without the switch."""
        return Schedule(**self.model_dump(exclude={"enabled"}))


class _File(BaseModel):
    model_config = ConfigDict(extra="forbid")

    schedule: list[Any]


def read_entries(text: str) -> list[Entry]:
    """The schedules of a file.

    Raises:
        BadFile: it is no TOML, an entry is wrong, or a name is used twice.
    """
    try:
        raw = _File.model_validate(tomllib.loads(text)).schedule
    except tomllib.TOMLDecodeError as error:
        raise BadFile(f"no TOML: {error}") from None
    except RecursionError:
        raise BadFile("no TOML: nested too deeply") from None
    except ValidationError as error:
        raise BadFile("\n".join(_lines("file", error))) from None
    except ValueError:
        raise BadFile("no TOML: a number has too many digits") from None
    entries: list[Entry] = []
    wrong: list[str] = []
    for number, one in enumerate(raw, 1):
        try:
            entries.append(Entry.model_validate(one))
        except ValidationError as error:
            name = one.get("name", f"entry {number}") if isinstance(one, dict) else f"entry {number}"
            wrong += _lines(f"{name}"[:80], error)
    names = [entry.name for entry in entries]
    wrong += [f"{name}: name: is used twice" for name in sorted({name for name in names if names.count(name) > 1})]
    if wrong:
        raise BadFile("\n".join(wrong))
    return entries


def _lines(where: str, error: ValidationError) -> Iterable[str]:
    for entry in error.errors(include_input=False, include_url=False, include_context=False):
        place = ".".join(map(str, entry["loc"])) or "entry"
        yield f"{where}: {place}: {entry['msg'].removeprefix('Value error, ')}"
