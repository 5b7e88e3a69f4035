"""Copying media from the sandbox's CDN to the stack's object store."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from hashlib import sha256
from typing import Any

import pytest

from core.client.upload_assets import (
    MediaClient,
    MediaRefused,
    MediaUnavailable,
    UrlExpired,
)
from tests.sandbox.dialects.urls import HOST, avatar_url, image_url, video_url
from tests.sandbox.media.bodies import file_of
from tests.support.media import media_client, wanted
from tests.support.s3 import S3Access
from tests.support.sandbox import Sandbox

PK = 3_350_000_000_000_000_001


@pytest.fixture
async def client(s3: S3Access, sandbox: Sandbox) -> AsyncIterator[MediaClient]:
    async with media_client(s3, sandbox.url) as client:
        yield client


def stored(s3: S3Access, key: str) -> tuple[bytes, dict[str, Any]]:
    answer = s3.client().get_object(Bucket=s3.bucket, Key=key)
    return answer["Body"].read(), answer


def keys(s3: S3Access) -> set[str]:
    return {entry["Key"] for entry in s3.client().list_objects_v2(Bucket=s3.bucket).get("Contents", [])}


async def requests(sandbox: Sandbox) -> int:
    return int((await sandbox.stats())["by_source"].get("cdn", 0))


async def test_a_picture_is_stored_under_its_key_with_its_headers(client: MediaClient, s3: S3Access) -> None:
    found = await client.upload(wanted(image_url(PK)))
    assert found.key == "assets/posts/instagram/CxYz_1-2.jpg"
    body, about = stored(s3, found.key)
    assert body == file_of(str(PK), "jpg")
    assert (found.size_bytes, found.content_type, found.not_modified) == (len(body), "image/jpeg", False)
    assert found.sha256 == sha256(body).hexdigest()
    assert about["ContentType"] == "image/jpeg"
    assert about["ContentDisposition"] == "inline"
    assert about["CacheControl"] == "public, max-age=86400"


async def test_profile_pictures_and_videos_have_keys_of_their_own(client: MediaClient, s3: S3Access) -> None:
    one = await client.upload(wanted(avatar_url(7), entity_type="PROFILE", entity_id="7"))
    two = await client.upload(wanted(video_url(PK), asset_type="VIDEO", entity_id="v"))
    assert (one.key, one.content_type) == ("assets/profiles/instagram/7.jpg", "image/jpeg")
    assert (two.key, two.content_type) == ("assets/posts/instagram/v.mp4", "video/mp4")
    assert stored(s3, one.key)[0] == file_of("7", "jpg", 150)
    assert stored(s3, two.key)[0] == file_of(str(PK), "mp4")


@pytest.mark.parametrize("form", ["png", "webp", "gif"])
async def test_the_bytes_decide_the_type_and_not_the_name(client: MediaClient, s3: S3Access, form: str) -> None:
    found = await client.upload(wanted(image_url(PK, form=form), entity_id=f"type-{form}"))
    assert found.key.endswith(f"/type-{form}.{form}")
    assert stored(s3, found.key)[1]["ContentType"] == f"image/{form}"


async def test_the_header_does_not_decide_the_type(client: MediaClient, sandbox: Sandbox) -> None:
    await sandbox.fault("cdn", "wrong_type")
    found = await client.upload(wanted(image_url(PK)))
    assert (found.key, found.content_type) == ("assets/posts/instagram/CxYz_1-2.webp", "image/webp")


async def test_youtube_pictures_are_not_signed(client: MediaClient, s3: S3Access) -> None:
    url = "https://i.ytimg.com/vi/aXbYcZ01234/hqdefault.jpg"
    found = await client.upload(wanted(url, platform="YOUTUBE", entity_id="aXbYcZ01234"))
    assert found.key == "assets/posts/youtube/aXbYcZ01234.jpg"
    assert stored(s3, found.key)[0] == file_of("hqdefault", "jpg")


async def test_an_unchanged_picture_is_not_put_again(client: MediaClient, s3: S3Access, sandbox: Sandbox) -> None:
    first = await client.upload(wanted(image_url(PK), entity_id="same"))
    s3.client().delete_object(Bucket=s3.bucket, Key=first.key)
    again = wanted(image_url(PK), entity_id="same", etag=first.etag, last_modified=first.last_modified)
    known = wanted(again.url, entity_id="same", etag=first.etag, last_modified=first.last_modified, known_key=first.key)
    second = await client.upload(known)
    assert (second.not_modified, second.key, second.size_bytes) == (True, first.key, 0)
    assert (second.etag, second.content_type, second.sha256) == (first.etag, "image/jpeg", None)
    assert first.key not in keys(s3)
    assert not (await client.upload(again)).not_modified  # without a stored key the tag is not sent
    assert first.key in keys(s3)


async def test_a_changed_picture_is_put_although_a_tag_was_sent(client: MediaClient) -> None:
    found = await client.upload(wanted(image_url(PK), etag='"old"', known_key="assets/posts/instagram/CxYz_1-2.jpg"))
    assert not found.not_modified


@pytest.mark.parametrize("left_s", [-86_400, -1, 50])
async def test_a_signature_that_has_run_out_costs_no_request(
    client: MediaClient, sandbox: Sandbox, left_s: int
) -> None:
    with pytest.raises(UrlExpired) as caught:
        await client.upload(wanted(image_url(PK, expires=int(time.time()) + left_s)))
    assert caught.value.code == "URL_EXPIRED"
    assert await requests(sandbox) == 0


@pytest.mark.parametrize(
    ("fault", "status"), [("expired", None), ("forbidden", None), ("not_found", None), ("not_found", 410)]
)
async def test_a_dead_url_is_not_asked_for_twice(
    client: MediaClient, sandbox: Sandbox, fault: str, status: int | None
) -> None:
    await sandbox.fault("cdn", fault, status=status)
    with pytest.raises(UrlExpired):
        await client.upload(wanted(image_url(PK)))
    assert await requests(sandbox) == 1


async def test_a_signed_query_is_sent_to_the_byte(client: MediaClient) -> None:
    """The CDN computes the signature over the bytes that reach it."""
    await client.upload(wanted(image_url(PK, 640, 640)))
    with pytest.raises(UrlExpired, match="URL signature mismatch"):
        await client.upload(wanted(image_url(PK).replace("ccb=7-5", "ccb=7%2D5")))


@pytest.mark.parametrize(
    ("fault", "code"),
    [("html", "NOT_MEDIA"), ("error_in_200", "NOT_MEDIA")],
)
async def test_a_page_or_json_is_not_stored(
    client: MediaClient, sandbox: Sandbox, s3: S3Access, fault: str, code: str
) -> None:
    await sandbox.fault("cdn", fault)
    with pytest.raises(MediaRefused) as caught:
        await client.upload(wanted(image_url(PK), entity_id="page"))
    assert caught.value.code == code
    assert not [key for key in keys(s3) if "page" in key]


@pytest.mark.parametrize(
    ("fault", "more", "code"),
    [
        ("half_body", {}, "TRUNCATED"),
        ("no_length_half", {}, "TRUNCATED"),
        ("empty", {}, "EMPTY"),
        ("server_error", {}, "SERVER_ERROR"),
        ("server_error", {"status": 503}, "SERVER_ERROR"),
        ("rate_limit", {"seconds": 7}, "THROTTLED"),
        ("reset", {}, "CONNECTION"),
    ],
)
async def test_what_may_go_better_later_is_said_so(
    client: MediaClient, sandbox: Sandbox, s3: S3Access, fault: str, more: dict[str, Any], code: str
) -> None:
    await sandbox.fault("cdn", fault, **more)
    with pytest.raises(MediaUnavailable) as caught:
        await client.upload(wanted(image_url(PK), entity_id="later"))
    assert caught.value.code == code
    assert caught.value.retry_after_s == more.get("seconds")
    assert "oh=" not in str(caught.value)
    assert not [key for key in keys(s3) if "later" in key]


async def test_a_file_without_length_is_taken_when_it_is_whole(client: MediaClient, sandbox: Sandbox) -> None:
    await sandbox.fault("cdn", "no_length")
    found = await client.upload(wanted(image_url(PK)))
    assert found.size_bytes == len(file_of(str(PK), "jpg"))


@pytest.mark.parametrize("fault", ["stall", "hang"])
async def test_silence_ends_at_the_read_timeout(s3: S3Access, sandbox: Sandbox, fault: str) -> None:
    await sandbox.fault("cdn", fault)
    async with media_client(s3, sandbox.url, ASSET_READ_TIMEOUT_S="0.3") as client:
        with pytest.raises(MediaUnavailable) as caught:
            await client.upload(wanted(image_url(PK)))
    assert caught.value.code == "TIMEOUT"


async def test_too_large_a_file_is_given_up_on_the_way(s3: S3Access, sandbox: Sandbox) -> None:
    await sandbox.fault("cdn", "huge_body")
    async with media_client(s3, sandbox.url, ASSET_MAX_IMAGE_MB="2") as client:
        with pytest.raises(MediaRefused) as caught:
            await client.upload(wanted(image_url(PK)))
    assert caught.value.code == "TOO_LARGE"


@pytest.mark.parametrize("asset_type", ["IMAGE", "VIDEO"])
async def test_a_video_is_no_picture_and_a_picture_no_video(client: MediaClient, asset_type: str) -> None:
    url = image_url(PK) if asset_type == "VIDEO" else video_url(PK)
    with pytest.raises(MediaRefused) as caught:
        await client.upload(wanted(url, asset_type=asset_type))
    assert caught.value.code == "BAD_TYPE"


@pytest.mark.parametrize("entity_id", ["", ".", "..", "\N{GRINNING FACE}" * 255])
async def test_an_entity_without_a_key_costs_no_request(client: MediaClient, sandbox: Sandbox, entity_id: str) -> None:
    with pytest.raises(MediaRefused) as caught:
        await client.upload(wanted(image_url(PK), entity_id=entity_id))
    assert caught.value.code == "BAD_ENTITY"
    assert await requests(sandbox) == 0


async def test_an_asset_of_no_known_type_costs_no_request(client: MediaClient, sandbox: Sandbox) -> None:
    with pytest.raises(MediaRefused, match="BAD_ENTITY: asset_type 'AUDIO'"):
        await client.upload(wanted(image_url(PK), asset_type="AUDIO"))
    assert await requests(sandbox) == 0


async def test_odd_ids_are_encoded_in_the_key(client: MediaClient, s3: S3Access) -> None:
    found = await client.upload(wanted(image_url(PK), entity_id="a/../b c~\N{DEVANAGARI LETTER A}%2F"))
    assert found.key == "assets/posts/instagram/a%2F..%2Fb%20c%7E%E0%A4%85%252F.jpg"
    assert stored(s3, found.key)[0] == file_of(str(PK), "jpg")


async def test_a_key_can_be_deleted_and_deleted_again(client: MediaClient, s3: S3Access) -> None:
    found = await client.upload(wanted(image_url(PK), entity_id="gone"))
    await client.delete(found.key)
    assert found.key not in keys(s3)
    await client.delete(found.key)


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_redirects_are_followed_three_times(client: MediaClient, sandbox: Sandbox, status: int) -> None:
    url = image_url(PK)
    await sandbox.fault("cdn", "redirect", location=url, times=3, status=status)
    assert (await client.upload(wanted(url))).content_type == "image/jpeg"
    await sandbox.fault("cdn", "redirect", location=url, times=4, status=status)
    with pytest.raises(MediaRefused, match="more than 3 redirects"):
        await client.upload(wanted(url))


@pytest.mark.parametrize(
    ("location", "code"),
    [
        ("http://169.254.169.254/latest/meta-data/", "REFUSED_ADDRESS"),
        ("https://127.0.0.1/", "REFUSED_ADDRESS"),
        ("https://localhost/", "REFUSED_ADDRESS"),
        ("https://[::ffff:10.0.0.1]/x.jpg", "REFUSED_ADDRESS"),
        (f"http://{HOST}/x.jpg", "BAD_REDIRECT"),
        (f"https://{HOST}:8443/x.jpg", "BAD_URL"),
        ("ftp://files.example/x.jpg", "BAD_URL"),
        ("https://user:secret@cdn.example/x.jpg", "BAD_URL"),
        ("//10.1.2.3/x.jpg", "REFUSED_ADDRESS"),
        ("https://[::1", "BAD_REDIRECT"),
    ],
)
async def test_every_hop_is_checked(client: MediaClient, sandbox: Sandbox, location: str, code: str) -> None:
    await sandbox.fault("cdn", "redirect", location=location)
    with pytest.raises(MediaRefused) as caught:
        await client.upload(wanted(image_url(PK)))
    assert (caught.value.code, await requests(sandbox)) == (code, 1)


async def test_http_may_lead_to_https(client: MediaClient, sandbox: Sandbox) -> None:
    url = image_url(PK)
    await sandbox.fault("cdn", "redirect", location=url, times=1)
    assert (await client.upload(wanted(url.replace("https:", "http:")))).content_type == "image/jpeg"
