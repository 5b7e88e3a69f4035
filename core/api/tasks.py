"""Tasks: queue, look, queue again or end, list."""

import json
from typing import Annotated, Any

from fastapi import APIRouter, Header, Path, Query
from fastapi.exceptions import RequestValidationError
from pydantic import AfterValidator, ValidationError
from sqlalchemy.ext.asyncio import AsyncSession

from core.api.deps import ResourcesDep
from core.api.envelope import ApiError, done, envelopes
from core.api.errors import refuse
from core.api.json_body import JsonRoute
from core.api.key_ring import Caller
from core.api.keys import Reader, Writer
from core.api.task_models import (
    AccountTask,
    ScrapeRequest,
    Task,
    TaskAnswer,
    TaskCreated,
    TaskList,
    TaskUpdate,
    TaskUpdated,
)
from core.entities import ScrapeRequestLog
from core.flows.registry import ASSET_FLOWS, Flow, Registry
from core.flows.scraper import BadTask, built_flow
from core.models.params import MAX_PARAMS_BYTES
from core.queue import tasks
from utils.json_safe import storable
from utils.times import utc_now

router = APIRouter(tags=["tasks"], route_class=JsonRoute)

FlowName = Annotated[str, Path(max_length=255, description="Name of the flow", examples=["refresh_profile_by_handle"])]
TaskId = Annotated[int, Path(ge=1, le=2**63 - 1, description="Id of the task", examples=[4711])]
AccountHeader = Annotated[
    str | None, Header(alias="x-bb-account-id", max_length=255, description="Account to list the task under")
]
KeyHeader = Annotated[
    str | None, Header(min_length=1, max_length=255, description="Sending the same key again returns the first task")
]
ListedAccount = Annotated[str, Path(max_length=255, description="Account", examples=["42"]), AfterValidator(storable)]
ListSize = Annotated[int, Query(ge=1, le=1000, description="At most so many tasks")]


@router.post("/scrape_request_log/flow/{flow}", responses=envelopes(409, 413, 422, 501))
async def create_task(
    resources: ResourcesDep,
    caller: Writer,
    flow: FlowName,
    body: ScrapeRequest,
    x_bb_account_id: AccountHeader = None,
    idempotency_key: KeyHeader = None,
) -> TaskCreated:
    """Queue one task. It is announced as PENDING and expires unless it starts within an hour."""
    found = _flow_of(resources.registry, flow, body)
    task = tasks.NewTask(
        flow=found.name,
        platform=body.platform,
        params=_params_of(found, body.params),
        account_id=caller.account(x_bb_account_id),
        priority=body.priority,
        reason=body.reason,
        expires_at=body.expires_at,
        idempotency_key=idempotency_key,
    )
    try:
        created = await tasks.create(resources.runtime.database, task)
    except tasks.KeyReused as error:
        raise ApiError(409, f"Idempotency-Key: {error}") from error
    return TaskCreated(status=done("Scrape request log added"), scrape_id=created.id)


@router.post("/scrape_request_log/flow/update/{scrape_id}", responses=envelopes(404, 409, 413, 422))
async def update_task(resources: ResourcesDep, caller: Writer, scrape_id: TaskId, body: TaskUpdate) -> TaskUpdated:
    """Queue a task again (PENDING) or end it; a running one loses its worker, which cancels it."""
    try:
        async with resources.begin() as session:
            row = await seen(session, caller, scrape_id)
            if row is not None:
                _check_same(body, row.flow, row.platform)
                row = await tasks.update(session, scrape_id, body.status, body.retry_count)
    except tasks.TaskEnded as error:
        raise ApiError(409, str(error)) from error
    if row is None:
        raise ApiError(404, f"scrape log not found for scrape_id - {scrape_id}")
    return TaskUpdated(status=done("Scrape request log updated"), scrape_id=scrape_id)


@router.get("/scrape_request_log/flow/{scrape_id}", responses=envelopes(404, 422))
async def get_task(resources: ResourcesDep, caller: Reader, scrape_id: TaskId) -> TaskAnswer:
    """One task as it is now."""
    async with resources.begin() as session:
        row = await seen(session, caller, scrape_id)
    if row is None:
        raise ApiError(404, f"scrape log not found for scrape_id - {scrape_id}")
    return TaskAnswer(status=done("Scrape Log Data Retrieved"), post=Task.of(row))


@router.get("/list_scrape_data/{account_id}", responses=envelopes(422))
async def list_tasks(
    resources: ResourcesDep, caller: Reader, account_id: ListedAccount, size: ListSize = 10
) -> TaskList:
    """The newest tasks of an account; the answer has no envelope."""
    caller.account(account_id)
    async with resources.begin() as session:
        rows = await tasks.list_for_account(session, account_id, size)
    return TaskList(account_id=account_id, scrape_list=[AccountTask.of(row) for row in rows])


async def seen(session: AsyncSession, caller: Caller, scrape_id: int) -> ScrapeRequestLog | None:
    """The task, if there is one and it is the caller's business."""
    row = await tasks.get(session, scrape_id)
    return row if row is not None and caller.sees(row.account_id) else None


def _flow_of(registry: Registry, path_flow: str, body: ScrapeRequest) -> Flow:
    """The flow of a request.

    Raises:
        RequestValidationError: path and body disagree, no such flow, another platform, expired already.
        ApiError: 501, it is not built yet.
    """
    if body.flow != path_flow:
        raise refuse("body", "flow", message=f"names another flow than the path, {path_flow[:100]!r}")
    try:
        flow = built_flow(registry, body.flow)
    except BadTask as error:
        if error.code == "NOT_BUILT":
            raise ApiError(501, str(error)) from error
        raise refuse("body", "flow", message=str(error).removeprefix("flow: ")) from error
    if body.platform is not flow.platform and flow.name not in ASSET_FLOWS:
        raise refuse("body", "platform", message=f"{flow.name} is a flow of {flow.platform}")
    if body.expires_at is not None and body.expires_at <= utc_now():
        raise refuse("body", "expires_at", message="is in the past: the task could never start")
    return flow


def _params_of(flow: Flow, raw: dict[str, Any]) -> dict[str, Any]:
    """The params to store, in the types of the flow's model.

    Raises:
        RequestValidationError: too large, or a field is wrong; each is named.
    """
    size = len(json.dumps(raw, ensure_ascii=False).encode())
    if size > MAX_PARAMS_BYTES:
        raise refuse("body", "params", message=f"at most {MAX_PARAMS_BYTES} bytes of JSON, got {size}")
    try:
        return flow.params.model_validate(raw).model_dump(mode="json", exclude_unset=True)
    except ValidationError as error:
        entries = error.errors(include_input=False, include_url=False, include_context=False)
        raise RequestValidationError(
            [{**entry, "loc": ("body", "params", *entry["loc"])} for entry in entries]
        ) from error


def _check_same(body: TaskUpdate, flow: str, platform: str | None) -> None:
    if body.flow is not None and body.flow != flow:
        raise refuse("body", "flow", message=f"the task's flow is {flow}")
    if body.platform is not None and platform is not None and body.platform.upper() != platform.upper():
        raise refuse("body", "platform", message=f"the task's platform is {platform}")
