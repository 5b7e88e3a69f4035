"""Turns every error into the envelope: the only place that does."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from loguru import logger
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from starlette.exceptions import HTTPException

from core.api.envelope import ApiError, error_response, http_status
from utils.db import broke_off
from utils.redact import redact_text

Handler = Callable[[Request, Any], Awaitable[JSONResponse]]

_MAX_NAMED = 10
_AWAY = (PoolTimeout, OSError)
"""How a database that cannot be connected to shows itself (refused, late, its name or its socket not there); one that
breaks off is a DBAPIError."""


def refuse(*where: str | int, message: str) -> RequestValidationError:
    """A refused field, to raise: ``where`` is its path, starting with body, path, query or header."""
    return RequestValidationError([{"type": "value_error", "loc": where, "msg": message}])


def install(app: FastAPI, *, strict: bool) -> None:
    """Register the handlers; an exception that none of them knows is answered by the boundary."""

    async def handled(_: Request, error: ApiError) -> JSONResponse:
        return error_response(error.code, error.message, status=http_status(error.code, strict=strict))

    async def refused(_: Request, error: RequestValidationError) -> JSONResponse:
        detail = [_public(entry) for entry in error.errors()]
        return error_response(422, _summary(detail), detail=detail)

    async def plain(_: Request, error: HTTPException) -> JSONResponse:
        return error_response(error.status_code, str(error.detail), headers=error.headers)

    async def database_failed(_: Request, error: Exception) -> JSONResponse:
        if isinstance(error, DBAPIError) and not broke_off(error):
            raise error
        if isinstance(error, OSError) and error.filename is not None:  # a file's, not a connection's
            raise error
        logger.bind(error=type(error).__name__).error("database_unreachable")
        return error_response(503, "The database cannot be reached, try again later")

    handlers: dict[type[Exception], Handler] = {
        ApiError: handled,
        RequestValidationError: refused,
        HTTPException: plain,
    }
    handlers |= dict.fromkeys((DBAPIError, *_AWAY), database_failed)
    for kind, handler in handlers.items():
        app.add_exception_handler(kind, handler)


def _public(entry: dict[str, Any]) -> dict[str, Any]:
    """Where and what, never the value: it may be a secret or a megabyte."""
    return {
        "type": entry["type"],
        "loc": list(entry["loc"]),
        "msg": redact_text(entry["msg"].removeprefix("Value error, ")),
    }


def _summary(detail: Sequence[dict[str, Any]]) -> str:
    named = "; ".join(f"{'.'.join(map(str, entry['loc']))}: {entry['msg']}" for entry in detail[:_MAX_NAMED])
    return named + (f"; and {len(detail) - _MAX_NAMED} more" if len(detail) > _MAX_NAMED else "")
