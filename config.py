"""Every setting of Beat: one tree, read once at start from environment variables.

``load_settings`` reports all bad values together, each with its variable and what it accepts; nothing else reads
the environment. The table in the README is generated from here.
"""

import re
from functools import cached_property
from importlib.util import find_spec
from ipaddress import ip_address
from typing import Annotated, Any, ClassVar, Literal
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

Seconds = Annotated[float, Field(gt=0, le=2_000_000)]
"""At most 23 days: what PostgreSQL and the event loop can wait."""


class ConfigError(Exception):
    """Start-up is refused: the message names each variable and how to mend it."""


def _checked_url(value: str, example: str, *, host: bool = True) -> str:
    """The URL, when it has the scheme of one of the examples (or a variant of it) and a port that is a number.

    Raises:
        ValueError: it has not; the text shows the example and never the value, which may hold a password.
    """
    wanted = example.partition("://")[0]
    schemes = {"postgresql": ("postgresql+asyncpg",), "redis": ("rediss",), "amqp": ("amqps",), "http": ("https",)}
    try:
        parts = urlsplit(value)
        usable = parts.port != 0 and (parts.hostname is not None or not host)
    except ValueError:
        usable = False
    if not usable or parts.scheme not in (wanted, *schemes[wanted]):
        raise ValueError(f"write it as {example}")
    return value


class _Group(BaseSettings):
    """Settings of one subject; the variable of a field is its name in upper case."""

    model_config = SettingsConfigDict(
        extra="ignore", frozen=True, case_sensitive=False, env_ignore_empty=True, allow_inf_nan=False
    )


class DatabaseSettings(_Group):
    """PostgreSQL."""

    pg_url: str = Field(
        "postgresql://beat@127.0.0.1:5432/beat",
        description="Direct PostgreSQL URL: supervisors, relay, migrations.",
        repr=False,
    )
    pgbouncer_url: str | None = Field(
        None, description="Pooled PostgreSQL URL: workers and API; PG_URL when unset.", repr=False
    )
    debug_sql: bool = Field(False, description="Log the SQL of the API and the flows.")

    @field_validator("pg_url", "pgbouncer_url")
    @classmethod
    def _is_postgres(cls, value: str | None) -> str | None:
        example = "postgresql://user:password@host:port/database"
        return None if value is None else _checked_url(value, example, host=False)

    @property
    def pooled_url(self) -> str:
        """Where children and the API connect."""
        return self.pgbouncer_url or self.pg_url


class BrokerSettings(_Group):
    """RabbitMQ, and the relay that feeds it."""

    rmq_url: SecretStr = Field(SecretStr("amqp://guest:guest@127.0.0.1:5672/"), description="RabbitMQ URL.")
    relay_in_flight: int = Field(64, ge=1, le=1000, description="Publishes awaiting their confirm at a time.")
    relay_batch: int = Field(500, ge=1, description="Outbox rows read at a time.")
    relay_poll_s: Seconds = Field(5.0, description="Seconds between looks at the outbox when nothing woke the relay.")

    @field_validator("rmq_url")
    @classmethod
    def _is_amqp(cls, value: SecretStr) -> SecretStr:
        _checked_url(value.get_secret_value(), "amqp://user:password@host:port/vhost")
        return value


class ProviderSettings(_Group):
    """Outbound calls to data providers."""

    redis_url: SecretStr = Field(SecretStr("redis://127.0.0.1:6379/0"), description="Redis URL of the rate limits.")
    provider_sandbox_url: str | None = Field(None, description="Send all provider traffic to this simulator.")
    http_connect_timeout_s: Seconds = Field(5.0, description="Seconds to connect to a provider.")
    http_read_timeout_s: Seconds = Field(20.0, description="Longest silence of a provider while it answers.")
    http_total_timeout_s: Seconds = Field(30.0, description="Longest whole call to a provider.")
    http_max_body_mb: int = Field(16, ge=1, description="Largest provider answer accepted, also once unpacked.")
    rate_wait_s: float = Field(5.0, ge=0, description="Longest wait of a task for a rate window.")
    limit_factor: float = Field(
        1.0, gt=0, alias="DEMO_LIMIT_FACTOR", description="Multiplies provider limits; for demos against the simulator."
    )
    expected_processes: int = Field(136, ge=1, description="Processes that share the limits when Redis is away.")
    graph_version: str = Field("v15.0", pattern=r"^v\d{1,2}\.\d$", description="Version of the Instagram Graph API.")
    graph_app_id: str | None = Field(
        None, pattern=r"^\d{1,30}$", description="Graph app that checks tokens; unset: each checks itself."
    )
    graph_app_secret: SecretStr = Field(SecretStr(""), description="Secret of that app.")
    drift_sample: float = Field(
        0.01, ge=0, le=1, description="Part of all answers whose shape is noted as a whole; 0 turns that off."
    )
    trace_share: float = Field(
        1.0, ge=0, le=1, description="Part of all requests to providers that is announced as `trace_log`."
    )
    page_pause_factor: float = Field(1.0, ge=0, description="Multiplies the pauses between pages; 0 in tests.")

    @field_validator("redis_url")
    @classmethod
    def _is_redis(cls, value: SecretStr) -> SecretStr:
        _checked_url(value.get_secret_value(), "redis://user:password@host:port/number")
        return value

    @field_validator("provider_sandbox_url")
    @classmethod
    def _is_http(cls, value: str | None) -> str | None:
        return None if value is None else _checked_url(value, "http://host:port")

    @property
    def graph_app_token(self) -> str | None:
        """What ``debug_token`` is asked with."""
        secret = self.graph_app_secret.get_secret_value()
        return f"{self.graph_app_id}|{secret}" if self.graph_app_id and secret else None

    @model_validator(mode="after")
    def _app_is_whole(self) -> "ProviderSettings":
        if bool(self.graph_app_id) != bool(self.graph_app_secret.get_secret_value()):
            raise ValueError("GRAPH_APP_ID and GRAPH_APP_SECRET belong together: set both, or neither")
        return self

    @model_validator(mode="after")
    def _limits_hold_in_production(self) -> "ProviderSettings":
        if self.limit_factor != 1.0 and self.provider_sandbox_url is None:
            raise ValueError("DEMO_LIMIT_FACTOR is for the simulator: set PROVIDER_SANDBOX_URL too, or unset it")
        return self


def _shares(text: str) -> dict[str, float]:
    """``0.01`` or ``graphapi=0.5,*=0.01`` as source -> share; ``*`` counts for sources that are not named.

    Raises:
        ValueError: it is neither.
    """
    found: dict[str, float] = {}
    for word in filter(None, (part.strip() for part in text.split(","))):
        source, equals, share = word.rpartition("=")
        found[source.strip() if equals else "*"] = float(share)
    if not all(source and 0 <= share <= 1 for source, share in found.items()):
        raise ValueError
    return found


class StoreSettings(_Group):
    """The object store (S3), where answers of providers are kept for reading them again."""

    aws_bucket: str | None = Field(
        None, description="Bucket; answers that no parser could read are kept once it is set."
    )
    aws_access_key: str | None = Field(None, description="Access key; unset: what the host itself may do.")
    aws_secret_access_key: SecretStr | None = Field(None, description="Its secret.")
    aws_region: str = Field("ap-south-1", description="Region of the bucket.")
    s3_endpoint_url: str | None = Field(None, description="S3 server; AWS itself when unset.")
    raw_sample: str = Field(
        "0", description="Part of all other answers that is kept, 0 to 1; per source: graphapi=0.5,*=0.01."
    )

    @property
    def raw_shares(self) -> dict[str, float]:
        """Source -> part of its answers that is kept; ``*`` is every other source."""
        return _shares(self.raw_sample)

    @field_validator("s3_endpoint_url")
    @classmethod
    def _is_http(cls, value: str | None) -> str | None:
        return None if value is None else _checked_url(value, "http://host:port")

    @field_validator("raw_sample")
    @classmethod
    def _are_shares(cls, value: str) -> str:
        try:
            _shares(value)
        except ValueError:
            raise ValueError("write it as 0.01 or graphapi=0.5,*=0.01, each share from 0 to 1") from None
        return value

    @model_validator(mode="after")
    def _keys_are_a_pair(self) -> "StoreSettings":
        if (self.aws_access_key is None) != (self.aws_secret_access_key is None):
            raise ValueError("set AWS_ACCESS_KEY and AWS_SECRET_ACCESS_KEY both, or neither")
        return self


class MediaSettings(_Group):
    """Copying of media."""

    asset_max_image_mb: int = Field(25, ge=1, description="Largest picture that is copied.")
    asset_max_video_mb: int = Field(500, ge=1, description="Largest video that is copied.")
    asset_connect_timeout_s: Seconds = Field(5.0, description="Seconds to connect to a CDN or the object store.")
    asset_read_timeout_s: Seconds = Field(20.0, description="Longest silence of either while it sends or answers.")
    asset_total_timeout_s: Seconds = Field(300.0, description="Longest whole download of one file.")
    asset_host_connections: int = Field(20, ge=1, description="Connections of a process to one CDN host.")
    asset_store_connections: int = Field(50, ge=1, description="Connections of a process to the object store.")
    asset_spool_dir: str | None = Field(
        None, description="Directory for files over 1 MiB on their way; the system's temporary one when unset."
    )
    asset_spool_mb: int = Field(1024, ge=1, description="Room a process may take there; further large files wait.")
    asset_verify_decode: bool = Field(False, description="Decode each picture before it is stored: costs CPU.")
    asset_cache_control: str = Field(
        "public, max-age=86400",
        pattern=r"^[\x20-\x7e]+$",
        description="Cache-Control of stored media; a key's picture may change.",
    )
    asset_sandbox_cdn: str | None = Field(
        None, description="Take media of the simulator's CDN hosts from this port; needs PROVIDER_SANDBOX_URL."
    )
    asset_dns: str | None = Field(
        None, description="Name server for CDN hosts, address:port over UDP, for tests; the system's when unset."
    )

    @field_validator("asset_sandbox_cdn")
    @classmethod
    def _is_loopback(cls, value: str | None) -> str | None:
        if value is not None and (re.fullmatch(r"http://127\.0\.0\.1:\d{1,5}/?", value) is None):
            raise ValueError("write it as http://127.0.0.1:port")
        return None if value is None else _checked_url(value, "http://127.0.0.1:port").rstrip("/")

    @field_validator("asset_dns")
    @classmethod
    def _is_an_address(cls, value: str | None) -> str | None:
        if value is None:
            return None
        address, _, port = value.rpartition(":")
        try:
            ip_address(address.strip("[]"))
            usable = 0 < int(port) < 65536
        except ValueError:
            usable = False
        if not usable:
            raise ValueError("write it as address:port, for instance 127.0.0.1:5353")
        return value

    @model_validator(mode="after")
    def _spool_holds_the_largest(self) -> "MediaSettings":
        if self.asset_spool_mb < max(self.asset_max_video_mb, self.asset_max_image_mb):
            raise ValueError("ASSET_SPOOL_MB must hold the largest file: see ASSET_MAX_VIDEO_MB, ASSET_MAX_IMAGE_MB")
        return self


class WorkerSettings(_Group):
    """The worker pool."""

    worker_flows: Annotated[tuple[str, ...], NoDecode] = Field(
        (), description="Run only these flows, separated by commas."
    )
    worker_listeners: Annotated[tuple[str, ...], NoDecode] = Field(
        (), description="Read only these queues of the broker, separated by commas; none: no queue."
    )
    worker_scale: float = Field(
        1.0, gt=0, le=10, description="Multiplies the processes per flow and queue (at least one each)."
    )
    worker_processes: int | None = Field(
        None, ge=1, description="Pack all flows into at most so many processes, each flow keeping its slots."
    )
    single_worker: bool = Field(False, description="Run every flow in one process, for development.")
    scrape_log_max_concurrency_per_loop: int = Field(100, ge=1, description="Slots of that one process.")
    asset_processes: int = Field(50, ge=1, le=1000, description="Most processes of the asset pool.")
    asset_processes_per_core: int = Field(
        2, ge=1, description="Processes of the asset pool per core, up to that; one alone nearly fills a core."
    )
    asset_slots: int = Field(100, ge=1, le=1000, description="Uploads at a time of each of them.")
    worker_grace_s: Seconds = Field(30.0, description="Seconds that running tasks get to finish after SIGTERM.")
    worker_lease_s: Seconds = Field(15.0, description="A host without a heartbeat for so long is lost.")
    heartbeat_s: Seconds = Field(5.0, description="Seconds between heartbeats.")
    task_time_limit_s: Seconds = Field(600.0, description="Time limit of a task whose flow names none.")
    log_retention_months: int | None = Field(
        None,
        ge=1,
        le=10_000,
        description="Whole months that logs of profiles, posts, relations and activities are kept; unset: for ever.",
    )
    schedule_timeout_s: Seconds = Field(30.0, description="Longest time of a schedule's candidate query.")
    beat_host_id: str | None = Field(None, description="Name of this host in beat_worker; the host name when unset.")
    beat_extra_flows: str | None = Field(
        None, description="Module with further flows, for tests and benches; refused in prod."
    )

    @field_validator("worker_flows", "worker_listeners", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        if not isinstance(value, str):
            return value
        return tuple(dict.fromkeys(word.strip() for word in value.split(",") if word.strip()))

    @field_validator("beat_extra_flows")
    @classmethod
    def _is_a_module(cls, value: str | None) -> str | None:
        try:
            known = value is None or find_spec(value) is not None
        except (ImportError, ValueError):
            known = False
        if not known:
            raise ValueError("there is no such module: write it as package.module")
        return value

    @model_validator(mode="after")
    def _lease_outlives_beats(self) -> "WorkerSettings":
        if self.worker_lease_s <= self.heartbeat_s:
            raise ValueError("WORKER_LEASE_S must be longer than HEARTBEAT_S")
        return self


class ApiSettings(_Group):
    """The REST API."""

    api_host: str = Field("127.0.0.1", description="Address to listen on; callers need keys where it is not loopback.")
    api_port: int = Field(8000, ge=1, le=65535, description="Port to listen on.")
    api_keys: bool = Field(False, description="Ask for keys on loopback too, as behind a proxy of the same host.")
    api_open: bool = Field(False, description="Ask nobody for a key, wherever the server listens.")
    http_status_mode: Literal["compatible", "strict"] = Field(
        "compatible", description="compatible: handled errors answer HTTP 200; strict: the real status."
    )
    asset_cdn_host: str | None = Field(
        None,
        pattern=r"^(?:[\w-]+\.)+[\w-]+(?::\d+)?$",
        description="Host that serves copied media; unset: the source's own URLs.",
    )
    heartbeat: bool = Field(False, description="Whether /heartbeat answers 200 from the start.")

    LOOPBACK: ClassVar[frozenset[str]] = frozenset({"127.0.0.1", "::1", "localhost"})

    @model_validator(mode="after")
    def _one_of_them(self) -> "ApiSettings":
        if self.api_keys and self.api_open:
            raise ValueError("API_KEYS and API_OPEN contradict each other: set one of them to 0")
        return self

    @property
    def wants_keys(self) -> bool:
        """Whether callers must show a key of ``beatctl keys add``."""
        return self.api_keys or (self.api_host not in self.LOOPBACK and not self.api_open)


class SecretSettings(_Group):
    """Keys that seal credentials."""

    beat_keys: SecretStr = Field(
        SecretStr(""),
        description="Key ring: id:base64-of-32-bytes, separated by commas; the first seals, all open.",
    )


class GeneralSettings(_Group):
    """What concerns every program."""

    environment: str = Field("dev", description="dev, stage, prod or a word of yours; prod refuses what is for tests.")
    log_level: Literal["TRACE", "DEBUG", "INFO", "SUCCESS", "WARNING", "ERROR", "CRITICAL"] = Field(
        "INFO", description="Least level logged."
    )
    log_format: Literal["auto", "human", "json"] = Field(
        "auto", description="auto: human in a terminal, JSON elsewhere."
    )

    @field_validator("environment")
    @classmethod
    def _lower(cls, value: str) -> str:
        return value.lower()

    @field_validator("log_level", mode="before")
    @classmethod
    def _upper(cls, value: object) -> object:
        return value.upper() if isinstance(value, str) else value


class Settings(BaseModel):
    """All groups; built once by a program's entry point and handed down."""

    model_config = ConfigDict(frozen=True)

    general: GeneralSettings = Field(default_factory=GeneralSettings)
    database: DatabaseSettings = Field(default_factory=DatabaseSettings)
    broker: BrokerSettings = Field(default_factory=BrokerSettings)
    providers: ProviderSettings = Field(default_factory=ProviderSettings)
    store: StoreSettings = Field(default_factory=StoreSettings)
    media: MediaSettings = Field(default_factory=MediaSettings)
    workers: WorkerSettings = Field(default_factory=WorkerSettings)
    api: ApiSettings = Field(default_factory=ApiSettings)
    secrets: SecretSettings = Field(default_factory=SecretSettings)

    @cached_property
    def is_production(self) -> bool:
        """Whether test-only settings are refused."""
        return self.general.environment == "prod"


def load_settings() -> Settings:
    """Read the environment.

    Raises:
        ConfigError: one line per variable that does not parse.
    """
    problems: list[str] = []
    groups: dict[str, Any] = {}
    for name, field in Settings.model_fields.items():
        try:
            groups[name] = field.annotation() if field.annotation else None
        except ValidationError as error:
            problems += [_problem(entry) for entry in error.errors(include_input=False, include_url=False)]
    if problems:
        raise ConfigError("settings are wrong:\n" + "\n".join(problems))
    settings = Settings(**groups)
    problems += _clashes(settings)
    if problems:
        raise ConfigError("settings are wrong:\n" + "\n".join(problems))
    return settings


def _clashes(settings: Settings) -> list[str]:
    """What is wrong between groups."""
    found = []
    if settings.is_production and settings.workers.beat_extra_flows:
        found.append("  BEAT_EXTRA_FLOWS: for tests and benches only, unset it when ENVIRONMENT=prod")
    if settings.media.asset_sandbox_cdn and not settings.providers.provider_sandbox_url:
        found.append("  ASSET_SANDBOX_CDN: for the simulator: set PROVIDER_SANDBOX_URL too, or unset it")
    return found


def _problem(entry: Any) -> str:
    where = ".".join(str(part) for part in entry["loc"]).upper()
    message = entry["msg"].removeprefix("Value error, ")
    return f"  {where}: {message}" if where else f"  {message}"
