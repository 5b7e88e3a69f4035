"""Many tasks in one request, as a JSON list or one object a line."""

from collections import Counter
from datetime import timedelta
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Header, Request
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from core.api.deps import ResourcesDep
from core.api.envelope import Answer, done, envelopes
from core.api.errors import refuse
from core.api.keys import Writer
from core.queue.bulk import CREATED, EXISTS, MAX_ROWS, REFUSED, BulkRow, RowResult, insert_many, parse_rows

router = APIRouter(tags=["tasks"])

PATH = "/scrape_request_log/bulk"
MAX_BULK_BYTES = 32 * 2**20

_KINDS = ("/json", "+json", "ndjson", "jsonl", "json-seq", "text/plain")
_EXAMPLE = {"flow": "refresh_profile_by_handle", "params": {"handle": "natgeo"}, "idempotency_key": "natgeo-2024-01-31"}
_BODY: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {
            "application/json": {
                "schema": {"type": "array", "maxItems": MAX_ROWS, "items": BulkRow.model_json_schema()},
                "example": [_EXAMPLE],
            },
            "application/x-ndjson": {"schema": {"type": "string"}},
        },
    }
}


class BulkResult(BaseModel):
    """What became of one row."""

    row: int = Field(description="Its number in the request, from 0", examples=[0])
    outcome: Literal["created", "exists", "refused"] = Field(
        description="exists: its idempotency key is that of the task `scrape_id`; refused: see field and message"
    )
    scrape_id: int | None = Field(description="Id of the task", examples=[4711])
    field: str | None = Field(description="What is wrong with a refused row", examples=["params.handle"])
    message: str | None = Field(description="Why, to show to a person", examples=["Field required"])

    @classmethod
    def of(cls, result: RowResult) -> "BulkResult":
        """The public form of a result."""
        return cls(
            row=result.row,
            outcome=result.outcome,
            scrape_id=result.id,
            field=result.field,
            message=result.message,
        )


class BulkCreated(Answer):
    """All good rows are queued; the others are named."""

    created: int = Field(description="Rows queued", examples=[9998])
    existing: int = Field(description="Rows whose idempotency key was there with the same task", examples=[1])
    refused: int = Field(description="Rows that were not queued", examples=[1])
    rows: list[BulkResult] = Field(description="One per row, in the order of the request")


@router.post(PATH, responses=envelopes(413, 422), openapi_extra=_BODY)
async def create_tasks(
    request: Request,
    resources: ResourcesDep,
    caller: Writer,
    x_bb_account_id: Annotated[str | None, Header(max_length=255, description="Account of rows that name none")] = None,
) -> BulkCreated:
    """Queue up to 10,000 tasks in one transaction. A bad row is refused by name and does not stop the others."""
    account_id = caller.account(x_bb_account_id)
    rows = await _rows(request)
    for row in rows:
        caller.account(row.get("account_id") if isinstance(row, dict) else None)
    async with resources.begin() as session:
        results = await insert_many(
            session, resources.registry, rows, account_id=account_id, expires_in=timedelta(hours=1)
        )
    counts = Counter(result.outcome for result in results)
    return BulkCreated(
        status=done(f"{counts[CREATED]} of {len(rows)} scrape requests added"),
        created=counts[CREATED],
        existing=counts[EXISTS],
        refused=counts[REFUSED],
        rows=[BulkResult.of(result) for result in results],
    )


async def _rows(request: Request) -> list[Any]:
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind and not kind.endswith(_KINDS):
        raise HTTPException(415, f"Send a JSON list, or one JSON object a line, not {kind[:100]}")
    try:
        rows = list(parse_rows((await request.body()).decode("utf-8-sig")))
    except ClientDisconnect as error:
        raise HTTPException(400, "The body broke off") from error
    except ValueError as error:
        reason = "is not UTF-8" if isinstance(error, UnicodeDecodeError) else f"is no JSON list: {error}"
        raise refuse("body", message=reason) from error
    if not 0 < len(rows) <= MAX_ROWS:
        raise refuse("body", message=f"must hold 1 to {MAX_ROWS} rows, got {len(rows)}")
    return rows
