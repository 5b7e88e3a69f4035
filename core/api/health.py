"""Whether the process lives, whether it can work, and whether the load balancer should send it requests.

Whoever probes may ask with HEAD too: the answer of GET, of which the server sends no body.
"""

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query, Response
from fastapi.responses import JSONResponse
from pydantic import Field

from core.api.checks import Check, look
from core.api.deps import ResourcesDep
from core.api.envelope import Answer, ErrorAnswer, ErrorStatus, done
from core.api.json_body import JsonRoute
from core.api.keys import NEEDS_ADMIN

router = APIRouter(tags=["health"], route_class=JsonRoute)

_BEATS: dict[int | str, dict[str, Any]] = {410: {"description": "Out of the load balancer"}}


class Ready(Answer):
    """Every required check holds."""

    state: Annotated[Literal["ready", "degraded"], Field(description="degraded: something that can wait is wrong")]
    checks: dict[str, Check]


class NotReady(ErrorAnswer):
    """A required check failed."""

    state: Literal["not_ready"] = "not_ready"
    checks: dict[str, Check]


@router.head("/heartbeat", include_in_schema=False)
@router.get("/heartbeat", response_class=Response, responses=_BEATS)
async def heartbeat(resources: ResourcesDep) -> Response:
    """For the load balancer: 200 while the server is to get requests, else 410; no body."""
    return _beat(on=resources.heartbeat)


@router.put("/heartbeat", response_class=Response, responses=_BEATS, dependencies=[NEEDS_ADMIN])
async def set_heartbeat(
    resources: ResourcesDep, beat: Annotated[bool, Query(description="Whether to get requests", examples=[True])]
) -> Response:
    """Take the server into the load balancer (200) or out of it (410); no body."""
    resources.heartbeat = beat
    return _beat(on=beat)


@router.head("/livez", include_in_schema=False)
@router.get("/livez")
async def livez() -> Answer:
    """The process answers; nothing else is looked at."""
    return Answer(status=done("Alive"))


@router.head("/readyz", include_in_schema=False, response_model=None)
@router.get(
    "/readyz", response_model=Ready, responses={503: {"model": NotReady, "description": "A required check failed"}}
)
async def readyz(resources: ResourcesDep) -> Ready | JSONResponse:
    """Database, schema, Redis; the age of the oldest unsent event and the broker for information."""
    checks = await look(resources)
    wrong = [name for name, check in checks.items() if not check.ok]
    blocking = [name for name in wrong if checks[name].required]
    if blocking:
        status = ErrorStatus(message=f"Not ready: {', '.join(blocking)}", code=503)
        return JSONResponse(NotReady(status=status, checks=checks).model_dump(), status_code=503)
    return Ready(status=done("Ready"), state="degraded" if wrong else "ready", checks=checks)


def _beat(*, on: bool) -> Response:
    return Response(status_code=200 if on else 410)
