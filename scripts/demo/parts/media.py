"""Media: profile pictures of the creators and pictures of some posts, copied to the object store."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import aiohttp
import boto3
from botocore.config import Config

from scripts.demo.check import Verdict
from scripts.demo.parts.base import Scene, Task
from tests.sandbox.dialects.urls import avatar_url, image_url
from tests.sandbox.media.bodies import file_of
from tests.sandbox.posts import posts_of
from tests.sandbox.universe import OPEN_KINDS, Kind, Universe

NAME = "media"
FLOWS = ("asset_upload_flow",)
WITH_POSTS = 30
"""So many creators have the picture of their newest post copied, too."""

SHOWN = 3
LINK_S = 7 * 86_400


@dataclass(frozen=True)
class Picture:
    """A file behind an address of the simulator, and whose it is."""

    entity_type: str
    entity_id: str
    url: str
    body: bytes

    @property
    def key(self) -> str:
        """Where its copy should be."""
        return f"assets/{self.entity_type.lower()}s/instagram/{self.entity_id}.jpg"


def pictures(universe: Universe, creators: int) -> Iterator[Picture]:
    """What is copied: profile pictures first."""
    known = [universe.creator(index) for index in range(creators)]
    people = [who for who in known if who.kind in OPEN_KINDS - {Kind.RENAMED}]
    for who in people:
        yield Picture("PROFILE", str(who.pk), avatar_url(who.pk), file_of(str(who.pk), "jpg", 150))
    for who in people[:WITH_POSTS]:
        for post in posts_of(universe, who)[:1]:
            yield Picture("POST", post.shortcode, image_url(post.pk), file_of(str(post.pk), "jpg"))


def tasks(universe: Universe, creators: int) -> list[Task]:
    """One upload each, as a producer asks for it."""
    return [Task(FLOWS[0], _params(picture)) for picture in pictures(universe, creators)]


def _params(picture: Picture) -> dict[str, Any]:
    number = int.from_bytes(hashlib.md5(picture.url.encode(), usedforsecurity=False).digest()[:8], "big")
    return {
        "entity_type": picture.entity_type, "entity_id": picture.entity_id, "asset_type": "IMAGE",
        "original_url": picture.url, "platform": "INSTAGRAM", "hash": number,
    }  # fmt: skip


def events(universe: Universe, creators: int) -> Mapping[str, int]:  # noqa: ARG001 - the interface
    """Uploads are announced as tasks only."""
    return {}


async def compare(scene: Scene, verdict: Verdict) -> None:
    """The rows, and what some of the links that the demo shows answer."""
    await compare_rows(scene, verdict)
    some = links(scene.world.env, scene.universe, scene.creators)
    async with aiohttp.ClientSession() as session:
        for picture, link in zip(pictures(scene.universe, scene.creators), some, strict=False):
            async with session.get(link) as answer:
                came = (answer.status, answer.content_type, await answer.read())
            verdict.same(f"GET {picture.key}", came, (200, "image/jpeg", picture.body))


async def compare_rows(scene: Scene, verdict: Verdict) -> None:
    """Rows of asset, and how many of them neighbours see."""
    rows = {row["asset_url"]: row for row in await scene.pg.fetch("select * from asset")}
    wanted = list(pictures(scene.universe, scene.creators))
    for picture in wanted:
        said = _params(picture)
        columns = {name: said[name] for name in ("entity_type", "entity_id", "asset_type", "platform", "original_url")}
        columns |= {"hash": said["hash"], "bytes": len(picture.body), "content_type": "image/jpeg"}
        verdict.columns(f"media {picture.key}", columns, rows.pop(picture.key, None))
    verdict.problems += [f"media {key} should not be there" for key in rows]
    verdict.same("asset_log", await scene.pg.fetchval("select count(*) from asset_log"), len(wanted))


def links(env: Mapping[str, str], universe: Universe, creators: int) -> list[str]:
    """Signed URLs of some copies, which anybody may ask for during a week."""
    client = boto3.client(
        "s3",
        endpoint_url=env.get("S3_ENDPOINT_URL") or None,
        aws_access_key_id=env.get("AWS_ACCESS_KEY"),
        aws_secret_access_key=env.get("AWS_SECRET_ACCESS_KEY"),
        region_name=env.get("AWS_REGION", "us-east-1"),
        config=Config(s3={"addressing_style": "path"}, signature_version="s3v4"),
    )
    some = [picture.key for _, picture in zip(range(SHOWN), pictures(universe, creators), strict=False)]
    where = ({"Bucket": env["AWS_BUCKET"], "Key": key} for key in some)
    found = [client.generate_presigned_url("get_object", Params=one, ExpiresIn=LINK_S) for one in where]
    client.close()
    return found
