"""What the task routes read and answer."""

from datetime import datetime
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, field_validator

from core.api.envelope import Answer
from core.api.profile_view import NaiveUtc
from core.entities.task import ScrapeRequestLog
from core.enums import Platform, TaskStatus
from core.queue.tasks import SETTABLE
from utils.times import as_utc

_INT32 = 2**31 - 1


def _upper(value: object) -> object:
    return value.strip().upper() if isinstance(value, str) else value


def _settable(status: TaskStatus) -> TaskStatus:
    if status not in SETTABLE:
        raise ValueError(f"must be one of {', '.join(SETTABLE)}")
    return status


PlatformName = Annotated[Platform, BeforeValidator(_upper)]
UtcTime = Annotated[datetime, AfterValidator(as_utc)]


class ScrapeRequest(BaseModel):
    """A task to queue; keys not listed here are ignored."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"flow": "refresh_profile_by_handle", "platform": "INSTAGRAM", "params": {"handle": "natgeo"}}]
        }
    )

    flow: str = Field(min_length=1, max_length=255, description="Name of the flow, the same as in the path")
    platform: PlatformName = Field(description="The flow's platform, in any case")
    params: dict[str, Any] = Field(description="What the flow needs, at most 256 KB")
    priority: int = Field(1, ge=-_INT32, le=_INT32, description="Higher runs first")
    reason: str | None = Field(None, max_length=1000, description="Shown in the PENDING event")
    expires_at: UtcTime | None = Field(
        None, description="Not started after this (UTC if it names no offset); default: in an hour"
    )

    @field_validator("priority", mode="before")
    @classmethod
    def _null_is_default(cls, value: object) -> object:
        return 1 if value is None else value


class TaskUpdate(BaseModel):
    """What a task is set to. ``flow``, ``platform`` and ``params`` stay as they are."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "flow": "refresh_profile_by_handle",
                    "platform": "INSTAGRAM",
                    "params": {"handle": "natgeo"},
                    "retry_count": 2,
                    "status": "PENDING",
                }
            ]
        }
    )

    status: Annotated[TaskStatus, BeforeValidator(_upper), AfterValidator(_settable)] = Field(
        description="PENDING queues it again; FAILED, COMPLETE and CANCELLED end it"
    )
    retry_count: int = Field(ge=0, le=_INT32, description="Number of the attempt")
    flow: str | None = Field(None, description="If given, must be the task's")
    platform: str | None = Field(None, description="If given, must be the task's, in any case")
    params: dict[str, Any] | None = Field(None, description="Accepted and left alone")


class TaskCreated(Answer):
    """The new task, or the first one of the same Idempotency-Key."""

    code: int = Field(200, description="Always 200", examples=[200])
    scrape_id: int = Field(description="Id of the task", examples=[4711])


class TaskUpdated(Answer):
    """The task was set."""

    scrape_id: int = Field(description="Id of the task", examples=[4711])


class Task(BaseModel):
    """A task as it is now."""

    scrape_id: int = Field(description="Id", examples=[4711])
    data: str | None = Field(description="Text of the result or of the error", examples=["(429, 'Too many requests')"])
    status: TaskStatus = Field(description="State")
    params: Any = Field(description="Params as stored", examples=[{"handle": "natgeo"}])
    created_at: NaiveUtc = Field(description="When it was queued, UTC")
    flow: str = Field(description="Flow", examples=["refresh_profile_by_handle"])
    scraped_at: NaiveUtc | None = Field(description="When it ended, UTC")
    platform: str | None = Field(description="Platform", examples=["INSTAGRAM"])
    priority: int = Field(description="Higher runs first", examples=[1])
    retry_count: int = Field(description="Number of the attempt", examples=[1])
    error_code: str | None = Field(description="Word for what went wrong", examples=["RATE_LIMITED"])
    result: Any = Field(description="The result, or what each source said, as JSON", examples=[None])

    @classmethod
    def of(cls, row: ScrapeRequestLog) -> "Task":
        """The task of a row."""
        return cls.model_validate(_fields(row))


class AccountTask(Task):
    """A task in an account's list."""

    account_id: str | None = Field(description="Account", examples=["42"])

    @classmethod
    def of(cls, row: ScrapeRequestLog) -> "AccountTask":
        """The task of a row."""
        return cls.model_validate({**_fields(row), "account_id": row.account_id})


def _fields(row: ScrapeRequestLog) -> dict[str, Any]:
    return {"scrape_id": row.id} | {name: getattr(row, name) for name in Task.model_fields if name != "scrape_id"}


class TaskAnswer(Answer):
    """One task, under the key that callers read."""

    post: Task


class TaskList(BaseModel):
    """An account's newest tasks; without an envelope."""

    account_id: str = Field(description="Account", examples=["42"])
    scrape_list: list[AccountTask] = Field(description="Newest first")
