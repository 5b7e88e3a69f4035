"""``python -m scripts.settings_doc [--check|--write]``: the configuration tables of README.md, from config.py.

The environment is not read: the tables show the defaults of the code. Secrets are masked.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator

from pydantic import SecretStr
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings

from config import Settings
from scripts.generated import Block, cell, code, run
from utils.redact import redact_text


def groups() -> Iterator[tuple[str, type[BaseSettings]]]:
    """The groups of the settings in the order of the code, each with its subject."""
    for field in Settings.model_fields.values():
        group = field.annotation
        if isinstance(group, type) and issubclass(group, BaseSettings):
            yield (group.__doc__ or group.__name__).strip().rstrip("."), group


def variable(name: str, field: FieldInfo) -> str:
    """The environment variable of a field."""
    return field.alias or name.upper()


def default_text(value: object) -> str:
    """A default as one would write it in the environment."""
    if isinstance(value, SecretStr):
        value = redact_text(value.get_secret_value())
    if value is None or value in ("", ()):
        return "unset"
    if isinstance(value, bool):
        return code(str(int(value)))
    return code(f"{value:g}" if isinstance(value, float) else str(value))


def tables() -> str:
    """One table per group."""
    return "\n\n".join(_table(subject, group) for subject, group in groups())


def _table(subject: str, group: type[BaseSettings]) -> str:
    rows = [
        f"| {code(variable(name, field))} | {cell(default_text(field.default))} | {cell(field.description or '')} |"
        for name, field in group.model_fields.items()
    ]
    return "\n".join([f"**{subject}**", "", "| variable | default | meaning |", "|---|---|---|", *rows])


SETTINGS = Block("README.md", "settings", "python -m scripts.settings_doc", tables)

if __name__ == "__main__":
    sys.exit(run(SETTINGS))
