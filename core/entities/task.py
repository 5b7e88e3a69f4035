"""The task queue's rows. Statements that move tasks are SQL in core/queue; these are for reading and creating."""

from __future__ import annotations

from datetime import datetime, timedelta

from sqlalchemy import ForeignKey, Identity, Index, PrimaryKeyConstraint, Sequence, UniqueConstraint, false, text
from sqlalchemy.orm import Mapped, mapped_column

from core.entities.base import Base, Json, Small, Stamp

_PENDING_NOW = text("status = 'PENDING' AND run_after IS NULL")
_EXPIRY = text("(coalesce(expires_at, 'infinity'))")
_IDS = Sequence("crawl_dump_id_seq", metadata=Base.metadata)


class ScrapeRequestLog(Base):
    """One task; its id is the scrape_id of the API and the scl_id of events."""

    __tablename__ = "scrape_request_log"

    id: Mapped[int] = mapped_column(server_default=_IDS.next_value())
    idempotency_key: Mapped[str | None]
    platform: Mapped[str | None]
    source: Mapped[str | None]
    account_id: Mapped[str | None]
    flow: Mapped[str]
    status: Mapped[str] = mapped_column(server_default="PENDING")
    priority: Mapped[Small] = mapped_column(server_default=text("1"))
    params: Mapped[Json | None]
    data: Mapped[str | None]
    created_at: Mapped[Stamp]
    scraped_at: Mapped[datetime | None]
    expires_at: Mapped[datetime | None]
    picked_at: Mapped[datetime | None]
    retry_count: Mapped[Small] = mapped_column(server_default=text("1"))
    worker: Mapped[int | None]
    run_after: Mapped[datetime | None]
    max_retries: Mapped[Small | None]
    error_code: Mapped[str | None]
    result: Mapped[Json | None]

    __table_args__ = (
        PrimaryKeyConstraint("id", name="crawl_dump_pkey"),
        UniqueConstraint("idempotency_key", name="scrape_request_log_idempotency_key"),
        Index("srl_claim", "flow", text("priority DESC"), "id", _EXPIRY, postgresql_where=_PENDING_NOW),
        Index("srl_fifo", "flow", text("(id + 0)"), _EXPIRY, postgresql_where=_PENDING_NOW),
        Index("srl_later", "run_after", postgresql_where=text("status = 'PENDING' AND run_after IS NOT NULL")),
        Index("srl_expiry", "expires_at", postgresql_where=text("status = 'PENDING' AND expires_at IS NOT NULL")),
        Index("srl_running", "worker", postgresql_where=text("status = 'PROCESSING'")),
        Index("srl_account", "account_id", text("created_at DESC"), postgresql_where=text("account_id IS NOT NULL")),
        Index("srl_created", "created_at", postgresql_using="brin"),
    )


class BeatWorker(Base):
    """A living worker process; ``beat_at`` is its lease."""

    __tablename__ = "beat_worker"

    id: Mapped[int] = mapped_column(Identity(always=True), primary_key=True)
    host: Mapped[str]
    pid: Mapped[Small]
    flow: Mapped[str | None]
    beat_at: Mapped[Stamp]
    slots: Mapped[Json] = mapped_column(server_default=text("'{}'"))


class BeatFlow(Base):
    """An operator's word on a flow; null leaves it to the registry."""

    __tablename__ = "beat_flow"

    flow: Mapped[str] = mapped_column(primary_key=True)
    paused: Mapped[bool] = mapped_column(server_default=false())
    slots: Mapped[Small | None]
    max_retries: Mapped[Small | None]
    timeout_s: Mapped[Small | None]
    retain: Mapped[timedelta | None]
    priority: Mapped[Small | None]
    pruned_to: Mapped[int | None]


class BeatSlot(Base):
    """Slots of a capped flow that one process may use."""

    __tablename__ = "beat_slot"

    worker: Mapped[int] = mapped_column(ForeignKey("beat_worker.id", ondelete="CASCADE"), primary_key=True)
    flow: Mapped[str] = mapped_column(primary_key=True)
    slots: Mapped[Small]


class BeatMetric(Base):
    """One sample that processes count up together; ``labels`` is JSON text."""

    __tablename__ = "beat_metric"

    name: Mapped[str] = mapped_column(primary_key=True)
    labels: Mapped[str] = mapped_column(primary_key=True)
    value: Mapped[float] = mapped_column(server_default=text("0"))


class ScrapeSchedule(Base):
    """Tasks that are queued by the clock. ``next_run_at`` and ``begun_for`` are the supervisors'."""

    __tablename__ = "scrape_schedule"

    name: Mapped[str] = mapped_column(primary_key=True)
    cron: Mapped[str]
    flow: Mapped[str]
    platform: Mapped[str | None]
    params: Mapped[Json] = mapped_column(server_default=text("'{}'"))
    candidates: Mapped[str | None]
    max_rows: Mapped[Small] = mapped_column(server_default=text("1000"))
    dedup_window: Mapped[timedelta | None]
    expires_in: Mapped[timedelta | None] = mapped_column(server_default=text("interval '1 hour'"))
    priority: Mapped[Small | None]
    enabled: Mapped[bool] = mapped_column(server_default=false())
    next_run_at: Mapped[datetime | None]
    begun_for: Mapped[datetime | None]
    attempts: Mapped[Small] = mapped_column(server_default=text("0"))
    last_run_at: Mapped[datetime | None]
    last_ended_at: Mapped[datetime | None]
    last_outcome: Mapped[str | None]
    last_created: Mapped[Small | None]
    last_existing: Mapped[Small | None]
    last_refused: Mapped[Small | None]
    last_error: Mapped[str | None]
