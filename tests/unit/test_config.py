"""Settings: a bad value says which variable and how to mend it."""

from __future__ import annotations

import pytest

from config import ApiSettings, ConfigError, load_settings
from core.bucket import store_access
from core.client.store_place import StorePlace

BAD = [
    ({"API_PORT": "eighty"}, "API_PORT"),
    ({"WORKER_SCALE": "-1"}, "WORKER_SCALE"),
    ({"PG_URL": "mysql://x"}, "PG_URL: write it as postgresql://"),
    ({"PG_URL": "postgresql://h:port/beat"}, "PG_URL: write it as postgresql://"),
    ({"PGBOUNCER_URL": "127.0.0.1:6432"}, "PGBOUNCER_URL: write it as postgresql://"),
    ({"REDIS_URL": "127.0.0.1:6379"}, "REDIS_URL: write it as redis://"),
    ({"REDIS_URL": "redis://h:port/0"}, "REDIS_URL: write it as redis://"),
    ({"RMQ_URL": "http://guest:guest@127.0.0.1/"}, "RMQ_URL: write it as amqp://"),
    ({"PROVIDER_SANDBOX_URL": "127.0.0.1:9999"}, "PROVIDER_SANDBOX_URL: write it as http://"),
    ({"BEAT_EXTRA_FLOWS": "no.such.module"}, "BEAT_EXTRA_FLOWS: there is no such module"),
    ({"API_KEYS": "1", "API_OPEN": "1"}, "API_KEYS and API_OPEN contradict each other"),
    ({"DEMO_LIMIT_FACTOR": "5"}, "PROVIDER_SANDBOX_URL"),
    ({"HEARTBEAT_S": "20"}, "WORKER_LEASE_S"),
    ({"WORKER_LEASE_S": "inf"}, "WORKER_LEASE_S"),
    ({"TASK_TIME_LIMIT_S": "inf"}, "TASK_TIME_LIMIT_S"),
    ({"RATE_WAIT_S": "inf"}, "RATE_WAIT_S"),
    ({"LOG_RETENTION_MONTHS": "99999999999"}, "LOG_RETENTION_MONTHS"),
    ({"ENVIRONMENT": "prod", "BEAT_EXTRA_FLOWS": "tests.support.flows"}, "unset it when ENVIRONMENT=prod"),
    ({"ENVIRONMENT": "PROD", "BEAT_EXTRA_FLOWS": "tests.support.flows"}, "unset it when ENVIRONMENT=prod"),
    ({"GRAPH_VERSION": "15"}, "GRAPH_VERSION"),
    ({"GRAPH_APP_ID": "123"}, "GRAPH_APP_ID and GRAPH_APP_SECRET belong together"),
    ({"ASSET_CDN_HOST": "https://cdn.example/"}, "ASSET_CDN_HOST"),
    ({"LOG_LEVEL": "loud"}, "LOG_LEVEL"),
    ({"ASSET_SANDBOX_CDN": "http://127.0.0.1:9999"}, "ASSET_SANDBOX_CDN: .*set PROVIDER_SANDBOX_URL too"),
    ({"ASSET_SANDBOX_CDN": "http://10.0.0.1:80"}, r"ASSET_SANDBOX_CDN: write it as http://127.0.0.1:port"),
    ({"ASSET_DNS": "ns.example"}, "ASSET_DNS: write it as address:port"),
    ({"ASSET_SPOOL_MB": "100"}, "ASSET_SPOOL_MB must hold the largest file"),
    ({"ASSET_MAX_IMAGE_MB": "1025"}, "ASSET_SPOOL_MB must hold the largest file"),
    ({"ASSET_CACHE_CONTROL": "a\r\nb"}, "ASSET_CACHE_CONTROL"),
    ({"REDIS_URL": "redis://h:0/0"}, "REDIS_URL: write it as redis://"),
    ({"HEARTBEAT_S": "15"}, "WORKER_LEASE_S must be longer than HEARTBEAT_S"),
    ({"ASSET_DNS": "127.0.0.1:65536"}, "ASSET_DNS: write it as address:port"),
    ({"AWS_ACCESS_KEY": "a"}, "AWS_ACCESS_KEY and AWS_SECRET_ACCESS_KEY both"),
    ({"AWS_SECRET_ACCESS_KEY": "a"}, "AWS_ACCESS_KEY and AWS_SECRET_ACCESS_KEY both"),
    *(
        ({"RAW_SAMPLE": share}, "RAW_SAMPLE: write it as 0.01")
        for share in ("-0.1", "1.1", "nan", "lama=2", "=1", "all")
    ),
]


@pytest.fixture(autouse=True)
def _clean(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (
        "PROVIDER_SANDBOX_URL", "DEMO_LIMIT_FACTOR", "ENVIRONMENT", "GRAPH_APP_ID", "GRAPH_APP_SECRET",
        "AWS_ACCESS_KEY", "AWS_SECRET_ACCESS_KEY",
    ):  # fmt: skip
        monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize(("variables", "hint"), BAD, ids=lambda v: "-".join(v) if isinstance(v, dict) else "")
def test_a_bad_value_names_its_variable(monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], hint: str) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(ConfigError, match=hint):
        load_settings()


def test_all_bad_values_are_reported_together(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("API_PORT", "eighty")
    monkeypatch.setenv("PG_URL", "nowhere")
    with pytest.raises(ConfigError) as caught:
        load_settings()
    assert "API_PORT" in str(caught.value)
    assert "PG_URL" in str(caught.value)


@pytest.mark.parametrize(
    ("variable", "url"),
    [
        ("PG_URL", "postgresql+asyncpg://beat@127.0.0.1/beat"),
        ("PGBOUNCER_URL", "postgresql:///beat?host=/run/postgresql"),
        ("REDIS_URL", "rediss://127.0.0.1:6380/0"),
        ("RMQ_URL", "amqps://127.0.0.1/"),
        ("S3_ENDPOINT_URL", "https://127.0.0.1:9000"),
    ],
)
def test_a_url_may_be_of_each_kind_that_its_client_knows(
    monkeypatch: pytest.MonkeyPatch, variable: str, url: str
) -> None:
    monkeypatch.setenv(variable, url)
    load_settings()


@pytest.mark.parametrize("variable", ["PG_URL", "PGBOUNCER_URL", "REDIS_URL", "RMQ_URL", "S3_ENDPOINT_URL"])
def test_a_refused_url_is_not_repeated(monkeypatch: pytest.MonkeyPatch, variable: str) -> None:
    monkeypatch.setenv(variable, "gopher://beat:hunter2@127.0.0.1/")
    with pytest.raises(ConfigError, match=f"{variable}: write it as") as caught:
        load_settings()
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    ("host", "wants"),
    [("127.0.0.1", False), ("::1", False), ("localhost", False), ("0.0.0.0", True), ("::", True), ("beat", True)],
)
def test_callers_need_keys_where_the_server_listens_beyond_loopback(host: str, *, wants: bool) -> None:
    assert ApiSettings(api_host=host).wants_keys is wants


def test_the_apps_token_is_made_of_both_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    assert load_settings().providers.graph_app_token is None
    monkeypatch.setenv("GRAPH_APP_ID", "123")
    monkeypatch.setenv("GRAPH_APP_SECRET", "app-secret")
    assert load_settings().providers.graph_app_token == "123|app-secret"


def test_workers_and_api_use_the_pooler_where_there_is_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PGBOUNCER_URL", raising=False)
    monkeypatch.setenv("PG_URL", "postgresql://beat@direct/beat")
    assert load_settings().database.pooled_url == "postgresql://beat@direct/beat"
    monkeypatch.setenv("PGBOUNCER_URL", "postgresql://beat@pooler/beat")
    assert load_settings().database.pooled_url == "postgresql://beat@pooler/beat"


def test_a_secret_never_shows_in_the_settings_text_or_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BEAT_KEYS", "k1:c2VjcmV0LXNlY3JldA==")
    monkeypatch.setenv("RMQ_URL", "amqp://user:hunter2@127.0.0.1/")
    monkeypatch.setenv("PG_URL", "postgresql://beat:hunter2@127.0.0.1/beat")
    monkeypatch.setenv("PGBOUNCER_URL", "postgresql://beat:hunter2@127.0.0.1:6432/beat")
    monkeypatch.setenv("REDIS_URL", "redis://:hunter2@127.0.0.1/0")
    monkeypatch.setenv("GRAPH_APP_ID", "123")
    monkeypatch.setenv("GRAPH_APP_SECRET", "hunter2")
    monkeypatch.setenv("AWS_ACCESS_KEY", "a")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "hunter2")
    text = repr(load_settings())
    assert "c2VjcmV0" not in text
    assert "hunter2" not in text


def test_an_empty_variable_counts_as_unset(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("API_PORT", "")
    assert load_settings().api.api_port == 8000


def test_worker_flows_are_split_at_commas(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORKER_FLOWS", " a, b ,a,")
    assert load_settings().workers.worker_flows == ("a", "b")


def test_the_bucket_is_in_mumbai_unless_it_is_said_to_be_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_BUCKET", "pictures")
    access = store_access(load_settings())
    assert access is not None
    assert StorePlace.of(access).host == "pictures.s3.ap-south-1.amazonaws.com"
