"""The queues that Beat reads. Names bind other services, which know the queues by name and publish to them directly.

A listener whose ``handler`` is None is not built yet: its queue is declared and fills up, and no process reads it.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from core.amqp.events import BEAT_EXCHANGE, IDENTITY_EXCHANGE
from core.amqp.models import AmqpListener

CREDENTIALS = "credentials.listener"

LISTENERS: tuple[AmqpListener, ...] = (
    AmqpListener(
        BEAT_EXCHANGE, "credentials_validate", "credentials_validate_q", f"{CREDENTIALS}:validate_credential",
        prefetch=10,
    ),
    AmqpListener(
        IDENTITY_EXCHANGE, "new_access_token_rk", "identity_token_q", f"{CREDENTIALS}:upsert_credential_from_identity",
        prefetch=10,
    ),
    AmqpListener(BEAT_EXCHANGE, "keyword_collection_rk", "keyword_collection_q"),
    AmqpListener(BEAT_EXCHANGE, "post_activity_log_bulk", "sentiment_analysis_q"),
    AmqpListener(BEAT_EXCHANGE, "sentiment_collection_report_in_rk", "sentiment_collection_report_in_q"),
)  # fmt: skip
"""Five processes each."""

BY_QUEUE: Mapping[str, AmqpListener] = MappingProxyType({listener.queue: listener for listener in LISTENERS})
