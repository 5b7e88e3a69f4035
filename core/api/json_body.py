"""Reads JSON bodies as callers send them: with or without a Content-Type, and only what PostgreSQL can store."""

from __future__ import annotations

import json
from collections.abc import Callable, Coroutine
from typing import Any, NoReturn

from fastapi import Request, Response
from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException

from utils.json_safe import storable


class JsonRequest(Request):
    """A request whose body is strict JSON in UTF-8."""

    async def json(self) -> Any:
        """The decoded body.

        Raises:
            json.JSONDecodeError: not JSON, too deep, or text that cannot be stored.
        """
        body = await self.body()
        try:
            value = json.loads(body.decode("utf-8-sig"), parse_constant=_refuse_constant)
            return storable(value)
        except json.JSONDecodeError:
            raise
        except RecursionError as error:
            raise json.JSONDecodeError("nested too deeply", "", 0) from error
        except ValueError as error:  # bad UTF-8, a number of thousands of digits, unstorable text
            reason = "is not UTF-8" if isinstance(error, UnicodeDecodeError) else str(error)
            raise json.JSONDecodeError(reason, "", 0) from error


class JsonRoute(APIRoute):
    """A route that reads its body through ``JsonRequest``; a form or a file is refused with 415."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """The handler, with the request wrapped."""
        handle = super().get_route_handler()

        async def handle_json(request: Request) -> Response:
            kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
            if kind and not kind.endswith(("/json", "+json")) and self.body_field is not None:
                raise HTTPException(415, f"Send JSON with Content-Type application/json, or none, not {kind[:100]}")
            return await handle(JsonRequest(request.scope, request.receive))

        return handle_json


def _refuse_constant(word: str) -> NoReturn:
    raise ValueError(f"{word} is not JSON")
