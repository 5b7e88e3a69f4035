"""Rows of the database as SQLAlchemy entities, equal to schema.sql; importing this package loads them all."""

from core.entities.api_key import ApiKey
from core.entities.asset import Asset
from core.entities.base import Base
from core.entities.credential import CredentialRow
from core.entities.drift import PayloadDrift, PayloadPath, PayloadRead
from core.entities.event import EventConfirmed, EventOutbox
from core.entities.instagram import (
    HandleHistory,
    HashtagBudget,
    InstagramAccount,
    InstagramAccountRequest,
    InstagramPost,
    InstagramProfileInsights,
)
from core.entities.instagram_ts import InstagramAccountTs, InstagramPostTs
from core.entities.log import (
    LogRetention,
    PostActivityLog,
    PostLogRow,
    ProfileLogRow,
    ProfileRelationshipLog,
    SentimentLog,
)
from core.entities.log_unwritten import OrderLog, ProfileActivityLog, ProfileSubscriptionLog, TaskLog
from core.entities.order import Order
from core.entities.quality import ProfileQuarantine, RawPayload
from core.entities.schema_migration import SchemaMigration
from core.entities.task import BeatFlow, BeatMetric, BeatSlot, BeatWorker, ScrapeRequestLog, ScrapeSchedule

__all__ = [
    "ApiKey",
    "Asset",
    "Base",
    "BeatFlow",
    "BeatMetric",
    "BeatSlot",
    "BeatWorker",
    "CredentialRow",
    "EventConfirmed",
    "EventOutbox",
    "HandleHistory",
    "HashtagBudget",
    "InstagramAccount",
    "InstagramAccountRequest",
    "InstagramAccountTs",
    "InstagramPost",
    "InstagramPostTs",
    "InstagramProfileInsights",
    "LogRetention",
    "Order",
    "OrderLog",
    "PayloadDrift",
    "PayloadPath",
    "PayloadRead",
    "PostActivityLog",
    "PostLogRow",
    "ProfileActivityLog",
    "ProfileLogRow",
    "ProfileQuarantine",
    "ProfileRelationshipLog",
    "ProfileSubscriptionLog",
    "RawPayload",
    "SchemaMigration",
    "ScrapeRequestLog",
    "ScrapeSchedule",
    "SentimentLog",
    "TaskLog",
]
