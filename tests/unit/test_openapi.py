"""What callers read at /docs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from config import Settings
from server import make_app

METHODS = {"get", "post", "put"}


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    return make_app(Settings()).openapi()


def operations(document: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    for path, item in document["paths"].items():
        for method in METHODS & set(item):
            yield f"{method.upper()} {path}", item[method]


def test_the_routes_are_these(document: dict[str, Any]) -> None:
    assert {name for name, _ in operations(document)} == {
        "GET /profiles/{platform}/byhandle/{handle}",
        "GET /profiles/{platform}/byid/{profile_id}",
        "GET /profiles/{platform}/byprofileid/{profile_id}",
        "GET /profiles/{platform}/byhandle/{handle}/insights",
        "POST /profiles/{platform}/byhandle/{handle}/insights",
        "GET /profiles/{platform}/byhandle/{handle}/audienceinsights",
        "POST /profiles/{platform}/byhandle/{handle}/audienceinsights",
        "GET /posts/{platform}/byshortcode/{shortcode}",
        "GET /posts/{platform}/{post_type}/{shortcode}",
        "GET /recent/posts/{platform}/byprofileid/{profile_id}",
        "GET /token/validate",
        "POST /token/validate",
        "POST /scrape_request_log/bulk",
        "POST /scrape_request_log/flow/{flow}",
        "POST /scrape_request_log/flow/update/{scrape_id}",
        "GET /scrape_request_log/flow/{scrape_id}",
        "GET /list_scrape_data/{account_id}",
        "POST /tokens",
        "GET /heartbeat",
        "PUT /heartbeat",
        "GET /livez",
        "GET /metrics",
        "GET /readyz",
        "GET /ops",
        "POST /ops/flows/{flow}/pause",
        "POST /ops/flows/{flow}/resume",
        "POST /ops/schedules/{name}/enable",
        "POST /ops/schedules/{name}/disable",
        "GET /ops/tasks/{scrape_id}/explain",
        "POST /ops/tasks/{scrape_id}/retry",
        "POST /ops/tasks/{scrape_id}/cancel",
    }


def test_no_internal_parameter_is_public(document: dict[str, Any]) -> None:
    names = {
        parameter["name"] for _, operation in operations(document) for parameter in operation.get("parameters", [])
    }
    assert names == {
        "platform", "handle", "profile_id", "full_refresh", "force_refresh", "flow", "scrape_id", "account_id", "size",
        "beat", "x-bb-account-id", "idempotency-key", "x-access-token", "x-user-id", "token", "user_id", "access_token",
        "social_user_id", "type", "shortcode", "post_type", "post_types", "third_party_fallback",
        "name", "task",
    }  # fmt: skip


def test_every_operation_parameter_and_field_is_described(document: dict[str, Any]) -> None:
    silent = [name for name, operation in operations(document) if not operation.get("description")]
    for name, operation in operations(document):
        silent += [f"{name} {p['name']}" for p in operation.get("parameters", []) if not p.get("description")]
    for name, schema in document["components"]["schemas"].items():
        if name in {"HTTPValidationError", "ValidationError"}:
            continue
        silent += [name] if not schema.get("description") else []
        silent += [
            f"{name}.{field}"
            for field, shape in schema.get("properties", {}).items()
            if not {"description", "$ref", "const"} & set(shape) and field != "checks"
        ]
    assert silent == []


def test_bodies_have_examples_and_flags_are_booleans(document: dict[str, Any]) -> None:
    schemas = document["components"]["schemas"]
    assert all(schemas[name].get("examples") for name in ("ScrapeRequest", "TaskUpdate", "Token"))
    flags = {
        p["name"]: p["schema"]["type"]
        for p in document["paths"]["/profiles/{platform}/byhandle/{handle}"]["get"]["parameters"]
        if p["in"] == "query"
    }
    assert flags == {"full_refresh": "boolean", "force_refresh": "boolean"}
