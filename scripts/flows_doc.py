"""``python -m scripts.flows_doc [--check|--write]``: the tables of docs/flows.md, from the registry and the params."""

from __future__ import annotations

import sys
import types
import typing
from datetime import date
from typing import Any, Literal

import annotated_types as at
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from core.enums import Platform
from core.flows.registry import FLOWS, Flow
from core.models.params import Params
from scripts.generated import Block, cell, code, run

WORDS = {str: "text", int: "whole number", float: "number", bool: "true or false", date: "date `YYYY-MM-DD`"}
ATTEMPTS = 3
"""What the page says of all flows; others are named in their row."""


def tables() -> str:
    """What holds for all flows, and one table per platform."""
    built = sum(flow.target is not None for flow in FLOWS)
    processes = sum(flow.workers for flow in FLOWS)
    head = (
        f"{len(FLOWS)} flows, {built} of them built. With all of them built and `WORKER_SCALE=1` they run in "
        f"{processes} processes."
    )
    return "\n\n".join([head, *(_table(platform) for platform in Platform)])


def type_text(annotation: Any) -> str:
    """A type in words."""
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is Literal:
        return " or ".join(code(str(word)) for word in arguments)
    if origin in (types.UnionType, typing.Union):
        return " or ".join("null" if kind is types.NoneType else type_text(kind) for kind in arguments)
    if origin is list:
        return f"list of {type_text(arguments[0])}"
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return f"object {{{_fields(annotation)}}}"
    return WORDS[annotation]


def param_text(name: str, field: FieldInfo) -> str:
    """A parameter: its name, type and bounds, and its default when it may be left out."""
    words = [type_text(field.annotation), *filter(None, map(_bound, field.metadata))]
    if not field.is_required():
        default = "null" if field.default is None else str(field.default).lower()
        if isinstance(field.default, str):
            default = field.default
        words.append(f"default {code(default)}")
    return f"{code(name)}: {', '.join(words)}"


def params_text(model: type[Params]) -> str:
    """All parameters of a model, and what its description adds."""
    return " ".join(filter(None, [f"{_fields(model)}.", _note(model)]))


def _fields(model: type[BaseModel]) -> str:
    return "; ".join(param_text(name, field) for name, field in model.model_fields.items()) or "none"


def _bound(mark: object) -> str:
    match mark:
        case at.Ge(ge=least):
            return f"at least {least}"
        case at.Le(le=most):
            return f"at most {most}"
        case at.Lt(lt=above):
            return f"less than {above}"
        case at.MinLen(min_length=1):
            return "not empty"
        case at.MaxLen(max_length=most):
            return f"at most {most} characters"
    return ""


def _note(model: type[Params]) -> str:
    """The nearest description among the model and its bases."""
    own = (base.__dict__.get("__doc__") for base in model.__mro__[: model.__mro__.index(Params)])
    return next((text for text in own if text), "").replace("``", "`")


def _table(platform: Platform) -> str:
    rows = [_row(flow) for flow in FLOWS if flow.platform is platform]
    head = ["| flow | processes × slots | params | built |", "|---|---|---|---|"]
    return "\n".join([f"## {platform}", "", *head, *rows])


def _row(flow: Flow) -> str:
    own = [f"time limit {flow.time_limit_s:g} s"] if flow.time_limit_s else []
    own += [f"{flow.max_retries} attempts"] if flow.max_retries != ATTEMPTS else []
    name = code(flow.name) + (f" ({', '.join(own)})" if own else "")
    built = "yes" if flow.target else "no"
    return f"| {name} | {flow.workers} × {flow.concurrency} | {cell(params_text(flow.params))} | {built} |"


FLOWS_PAGE = Block("docs/flows.md", "flows", "python -m scripts.flows_doc", tables)

if __name__ == "__main__":
    sys.exit(run(FLOWS_PAGE))
