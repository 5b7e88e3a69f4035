"""The operations page, and what its buttons do as routes: the same functions that ``beatctl`` calls.

A browser shows the key as the password of HTTP Basic, and from then on sends it by itself. So whatever changes
something is refused when another site's page has sent it.
"""

from functools import partial
from typing import Annotated

from fastapi import APIRouter, Path, Query
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse
from loguru import logger
from pydantic import Field
from starlette.exceptions import HTTPException

from core.amqp.outbox import outbox_lag
from core.api.checks import look
from core.api.deps import Resources, ResourcesDep
from core.api.envelope import Answer, ApiError, done, envelopes
from core.api.errors import refuse
from core.api.json_body import JsonRoute
from core.api.key_ring import Caller
from core.api.keys import Operator
from core.api.ops_page import HEADERS, Facts, page
from core.api.task_models import TaskUpdated
from core.api.tasks import FlowName, TaskId, seen
from core.enums import TaskStatus
from core.queue import control, tasks
from core.queue.explain import Explanation, explain
from core.queue.status import failed_lately, pool_status
from core.schedules import statements as schedules_sql
from core.schedules.schedule import ScheduleError
from core.schedules.switch import NoSchedule, NotSwitched, must_run, stored, switch
from utils.db import FAILED, fetch_in, reason
from utils.times import utc_now

router = APIRouter(tags=["operations"], route_class=JsonRoute)

ScheduleName = Annotated[
    str, Path(pattern="^[a-z0-9][a-z0-9_-]{0,62}$", description="Name of the schedule", examples=["ig-profiles-stale"])
]
AskedTask = Annotated[int | None, Query(ge=1, le=2**63 - 1, description="Id of a task to explain", examples=[4711])]


class FlowSwitched(Answer):
    """The flow was paused or resumed; supervisors follow within about a second."""

    flow: str = Field(description="Name of the flow", examples=["refresh_profile_by_handle"])
    paused: bool = Field(description="Whether no task of it is started", examples=[True])


class ScheduleSwitched(Answer):
    """The schedule was switched."""

    name: str = Field(description="Name of the schedule", examples=["ig-profiles-stale"])
    enabled: bool = Field(description="Whether the clock runs it", examples=[True])


class TaskExplained(Answer):
    """Why a task is not running: the one fact that decides."""

    scrape_id: int = Field(description="Id of the task", examples=[4711])
    task_status: TaskStatus = Field(description="State of the task", examples=["PENDING"])
    reason: str = Field(description="A word for the kind of fact", examples=["paused"])
    text: str = Field(
        description="The fact, and where there is one the way out of it",
        examples=["flow refresh_post_by_shortcode is paused: beatctl flows resume refresh_post_by_shortcode"],
    )


@router.get("/ops", response_class=HTMLResponse, responses=envelopes(403, 422))
async def operations(resources: ResourcesDep, caller: Operator, task: AskedTask = None) -> HTMLResponse:
    """The operations page, for browsers: the pool, flows, events, schedules and credentials at this moment."""
    checks, sources = await look(resources), await resources.tokens.per_source()
    answer = None if task is None else await _explained(resources, caller, task)
    async with resources.begin() as session:
        fetch = partial(fetch_in, session)
        facts = Facts(
            at=utc_now(),
            checks=checks,
            pool=await pool_status(fetch, lease_s=resources.settings.workers.worker_lease_s),
            failed=await failed_lately(fetch),
            lag=await outbox_lag(fetch),
            schedules=await fetch(schedules_sql.LIST),
            credentials=sources,
            known=resources.registry,
            asked=task,
            answer=answer,
        )
    return HTMLResponse(page(facts), headers=HEADERS)


@router.post("/ops/flows/{flow}/pause", responses=envelopes(403, 422))
async def pause_flow(resources: ResourcesDep, caller: Operator, flow: FlowName) -> FlowSwitched:
    """Start no more tasks of a flow, on all hosts; running ones go on."""
    return await _switch_flow(resources, caller, flow, paused=True)


@router.post("/ops/flows/{flow}/resume", responses=envelopes(403, 422))
async def resume_flow(resources: ResourcesDep, caller: Operator, flow: FlowName) -> FlowSwitched:
    """Start tasks of a flow again."""
    return await _switch_flow(resources, caller, flow, paused=False)


@router.post("/ops/schedules/{name}/enable", responses=envelopes(403, 404, 422, 503))
async def enable_schedule(resources: ResourcesDep, caller: Operator, name: ScheduleName) -> ScheduleSwitched:
    """Switch a schedule on, if cron, flow, query and params are found right; what it missed is not made up for."""
    try:
        async with resources.begin() as session:
            found = await stored(partial(fetch_in, session), [name])
        await must_run(resources.settings, resources.registry, found, built=True)
    except NoSchedule as error:
        raise _no_schedule(error) from error
    except ScheduleError as error:
        wrong = error.problems if isinstance(error, NotSwitched) else [str(error)]
        raise RequestValidationError(
            [{"type": "value_error", "loc": ("path", "name"), "msg": f"{one}; it stays disabled"} for one in wrong]
        ) from error
    except (OSError, *FAILED) as error:
        raise HTTPException(503, f"PG_URL: the database cannot be reached: {reason(error)}") from error
    return await _switch_schedule(resources, caller, name, enabled=True)


@router.post("/ops/schedules/{name}/disable", responses=envelopes(403, 404, 422))
async def disable_schedule(resources: ResourcesDep, caller: Operator, name: ScheduleName) -> ScheduleSwitched:
    """Switch a schedule off; the tasks that it has queued stay."""
    return await _switch_schedule(resources, caller, name, enabled=False)


@router.get("/ops/tasks/{scrape_id}/explain", responses=envelopes(403, 404, 422))
async def explain_task(resources: ResourcesDep, caller: Operator, scrape_id: TaskId) -> TaskExplained:
    """Why a task is not running: how it ended, who holds it, or what it waits for."""
    found = await _explained(resources, caller, scrape_id)
    if found is None:
        raise _no_task(scrape_id)
    status = done(f"Task {scrape_id} is {found.status}")
    return TaskExplained(
        status=status, scrape_id=scrape_id, task_status=TaskStatus(found.status), reason=found.reason, text=found.text
    )


@router.post("/ops/tasks/{scrape_id}/retry", responses=envelopes(403, 404, 422))
async def retry_task(resources: ResourcesDep, caller: Operator, scrape_id: TaskId) -> TaskUpdated:
    """Queue a task again with a first attempt; a running one loses its worker."""
    return await _set_task(resources, caller, scrape_id, TaskStatus.PENDING)


@router.post("/ops/tasks/{scrape_id}/cancel", responses=envelopes(403, 404, 409, 422))
async def cancel_task(resources: ResourcesDep, caller: Operator, scrape_id: TaskId) -> TaskUpdated:
    """Cancel a task that waits or runs."""
    return await _set_task(resources, caller, scrape_id, TaskStatus.CANCELLED)


async def _switch_flow(resources: Resources, caller: Caller, flow: str, *, paused: bool) -> FlowSwitched:
    try:
        async with resources.begin() as session:
            await control.pause_flows(session, resources.registry, [flow], paused=paused)
    except control.UnknownFlow as error:
        raise refuse("path", "flow", message=str(error)) from error
    logger.bind(flow=flow, paused=paused, by=caller.name).info("flow_switched")
    return FlowSwitched(status=done(f"{flow} is {'paused' if paused else 'open'}"), flow=flow, paused=paused)


async def _switch_schedule(resources: Resources, caller: Caller, name: str, *, enabled: bool) -> ScheduleSwitched:
    try:
        async with resources.begin() as session:
            await switch(partial(fetch_in, session), [name], enabled=enabled)
    except NoSchedule as error:
        raise _no_schedule(error) from error
    logger.bind(schedule=name, enabled=enabled, by=caller.name).info("schedule_switched")
    status = done(f"{name} is {'enabled' if enabled else 'disabled'}")
    return ScheduleSwitched(status=status, name=name, enabled=enabled)


async def _set_task(resources: Resources, caller: Caller, scrape_id: int, status: TaskStatus) -> TaskUpdated:
    try:
        async with resources.begin() as session:
            row = await seen(session, caller, scrape_id)
            if row is not None:
                row = await tasks.update(session, scrape_id, status, 1)
    except tasks.TaskEnded as error:
        raise ApiError(409, f"{error}, which is retry") from error
    if row is None:
        raise _no_task(scrape_id)
    logger.bind(task_id=scrape_id, status=status, by=caller.name).info("task_set")
    return TaskUpdated(status=done(f"Task {scrape_id} is {row.status}"), scrape_id=scrape_id)


async def _explained(resources: Resources, caller: Caller, scrape_id: int) -> Explanation | None:
    """Why the task is not running, if there is one and it is the caller's business."""
    async with resources.begin() as session:
        if await seen(session, caller, scrape_id) is None:
            return None
        lease_s = resources.settings.workers.worker_lease_s
        return await explain(session, resources.registry, scrape_id, lease_s=lease_s)


def _no_task(scrape_id: int) -> ApiError:
    return ApiError(404, f"scrape_id: there is no task {scrape_id}; retention may have deleted it")


def _no_schedule(error: NoSchedule) -> ApiError:
    return ApiError(404, f"name: {error}; GET /ops and beatctl schedules list show those that there are")
