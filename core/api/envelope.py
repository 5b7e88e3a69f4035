"""The envelope of every answer: models, the error a route raises, and its HTTP status.

Existing callers read ``status.type`` and expect handled errors as HTTP 200; strict mode answers the real status with
the same body. Refused input (422), oversize bodies, unknown paths and Beat's own failures answer their real status in
both modes.
"""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field

LIMITED = 2
"""``status.code`` of a refusal by Beat's own limits."""

_STRICT = {LIMITED: 429, 190: 401}
_ERRORS = range(400, 600)


class SuccessStatus(BaseModel):
    """What went well."""

    type: Annotated[Literal["SUCCESS"], Field(description="SUCCESS or ERROR: callers decide by this word")] = "SUCCESS"
    message: Annotated[str, Field(description="What was done", examples=["Profile Retrieved"])]


class ErrorStatus(BaseModel):
    """What went wrong."""

    type: Annotated[Literal["ERROR"], Field(description="SUCCESS or ERROR: callers decide by this word")] = "ERROR"
    message: Annotated[
        str, Field(description="The reason, to show to a person", examples=["Profile not found - natgeo"])
    ]
    code: Annotated[int, Field(description="2: limit reached; else as the HTTP status of strict mode", examples=[404])]


class ErrorAnswer(BaseModel):
    """The body of every error."""

    status: ErrorStatus


class Answer(BaseModel):
    """Base of all success bodies; the payload's keys stand beside ``status``."""

    status: SuccessStatus


class ApiError(Exception):
    """A handled error: ``code`` goes into the envelope, the HTTP status depends on the mode."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


def done(message: str) -> SuccessStatus:
    """The status of a success; both fields are set, for routes that leave out what is not."""
    return SuccessStatus(type="SUCCESS", message=message)


def http_status(code: int, *, strict: bool) -> int:
    """The HTTP status of a handled error; what a source made up is none, and stands for its failure."""
    if not strict:
        return 200
    return _STRICT.get(code, code if code in _ERRORS else 502)


def error_response(
    code: int, message: str, *, status: int | None = None, headers: Mapping[str, str] | None = None, **more: Any
) -> JSONResponse:
    """An error envelope; ``more`` stands beside ``status`` in the body."""
    body = ErrorAnswer(status=ErrorStatus(message=message, code=code)).model_dump()
    return JSONResponse({**body, **more}, status_code=status or code, headers=dict(headers or {}))


_WORDS = {
    400: "The request cannot be served as it is.",
    401: "The token is refused: `status.code` is 190.",
    403: "The key does not reach, or a page of another site sent it. In both modes with this HTTP status.",
    404: "There is no such thing.",
    409: "It contradicts what is there.",
    413: "The body is too large. In both modes with this HTTP status.",
    422: "A field is refused; `detail` names each. In both modes with this HTTP status.",
    429: "A limit is reached: `status.code` is 2.",
    500: "Beat failed. In both modes with this HTTP status.",
    501: "Not built yet.",
    502: "A data source answered nonsense or refused Beat.",
    503: "No data source could be used, try again later.",
}


def envelopes(*codes: int) -> dict[int | str, dict[str, Any]]:
    """OpenAPI entries of a route's errors, under their strict-mode status."""
    note = " Without strict mode: HTTP 200 with this body."
    both = {403, 413, 422, 500}
    return {
        code: {"model": ErrorAnswer, "description": _WORDS[code] + ("" if code in both else note)} for code in codes
    }
