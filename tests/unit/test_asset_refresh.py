"""Whose refresh a dead URL asks for, and what names an upload."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest
from pydantic import ValidationError

from core.assets.refresh import owner_refresh, refresh_key, story_refresh
from core.flows.registry import build_registry
from core.models.params import AssetParams

PARAMS = {
    "entity_type": "POST", "entity_id": "x1", "asset_type": "IMAGE", "platform": "any",
    "original_url": "https://a.example/1.jpg",
}  # fmt: skip


def asset(entity_type: str, entity_id: str = "x1") -> AssetParams:
    return AssetParams.model_validate({**PARAMS, "entity_type": entity_type, "entity_id": entity_id, "hash": 1})


@pytest.mark.parametrize(
    ("platform", "entity_type", "wanted"),
    [
        ("INSTAGRAM", "PROFILE", ("refresh_profile_by_profile_id", {"profile_id": "x1"})),
        ("INSTAGRAM", "POST", ("refresh_post_by_shortcode", {"shortcode": "x1"})),
        ("YOUTUBE", "PROFILE", ("refresh_yt_profiles", {"channel_ids": ["x1"]})),
        ("YOUTUBE", "POST", ("refresh_yt_posts", {"post_ids": ["x1"]})),
        ("SHOPIFY", "POST", None),
    ],
)
def test_the_owner_is_refreshed_by_the_flow_of_its_kind(
    platform: str, entity_type: str, wanted: tuple[str, dict[str, Any]] | None
) -> None:
    assert owner_refresh(platform, asset(entity_type)) == wanted


def test_every_refresh_is_a_flow_of_the_registry_that_takes_these_params() -> None:
    registry = build_registry()
    kinds = [(platform, kind) for platform in ("INSTAGRAM", "YOUTUBE") for kind in ("PROFILE", "POST")]
    asked = [owner_refresh(platform, asset(kind)) for platform, kind in kinds]
    for flow, params in [*filter(None, asked), story_refresh("787132", "natgeo")]:
        assert registry[flow].params.model_validate(params)


def test_the_key_of_a_refresh_is_one_a_flow_entity_and_day() -> None:
    keys = {
        refresh_key(flow, entity, date(2026, 6, day))
        for flow in ("refresh_profile_by_profile_id", "refresh_post_by_shortcode")
        for entity in ("1", "2")
        for day in (1, 2)
    }
    assert len(keys) == 8


@pytest.mark.parametrize("given", [0, 2**63, 2**64 - 1, str(2**64 - 1)])
def test_a_hash_is_any_unsigned_number_of_64_bits(given: object) -> None:
    assert AssetParams.model_validate({**PARAMS, "hash": given}).hash == int(str(given))


@pytest.mark.parametrize("given", [-1, 2**64, 1.0, 1e19, True, None, "", "0x1f", "1.5"])
def test_a_hash_that_is_no_such_number_is_refused(given: object) -> None:
    with pytest.raises(ValidationError):
        AssetParams.model_validate({**PARAMS, "hash": given})
