"""The sandbox's CDN: serves every media address that the other hosts name, to the byte and for a time."""

from __future__ import annotations

import io
import re
import time
from collections.abc import AsyncIterator
from urllib.parse import urlsplit

import aiohttp
import pytest
from PIL import Image
from yarl import URL

from tests.sandbox.dialects.urls import HOST, avatar_url, image_url, video_url
from tests.sandbox.media.bodies import CONTENT_TYPES, file_of
from tests.sandbox.media.cdn import Cdn
from tests.support.sandbox import Sandbox
from tests.unit.test_sandbox_bodies import CASES, HOSTS, Case, ask, subjects

PK = 3_350_000_000_000_000_001
_URL = re.compile(r'https://[^"\\]+')


class Client:
    """Asks the sandbox as if it were the host of a URL."""

    def __init__(self, session: aiohttp.ClientSession, base: str) -> None:
        self._session, self._base = session, base

    async def get(self, url: str, **headers: str) -> tuple[int, bytes, dict[str, str]]:
        """Status, body, headers."""
        parts = urlsplit(url)
        target = URL(f"{self._base}{parts.path}?{parts.query}", encoded=True)
        sent = {"Host": parts.netloc, **{name.replace("_", "-"): value for name, value in headers.items()}}
        async with self._session.get(target, headers=sent, allow_redirects=False) as answer:
            return answer.status, await answer.read(), {k.lower(): v for k, v in answer.headers.items()}


@pytest.fixture
async def client(sandbox: Sandbox) -> AsyncIterator[Client]:
    async with aiohttp.ClientSession() as session:
        yield Client(session, sandbox.url)


@pytest.mark.parametrize("form", CONTENT_TYPES)
def test_files_are_real_and_each_is_another_one(form: str) -> None:
    one, two = file_of("a", form), file_of("b", form)
    assert one == file_of("a", form)
    assert one != two
    if form != "mp4":
        picture = Image.open(io.BytesIO(one))
        picture.load()
        assert picture.size == (640, 640)


@pytest.mark.parametrize("url", [image_url(PK), image_url(PK, 640, 640), avatar_url(PK), video_url(PK)])
async def test_signed_addresses_are_served(client: Client, url: str) -> None:
    status, body, headers = await client.get(url)
    form = "mp4" if ".mp4" in url else "jpg"
    side = 150 if "s150x150" in url else 640
    assert (status, body) == (200, file_of(str(PK), form, side))
    assert headers["content-type"] == CONTENT_TYPES[form]
    assert headers["content-length"] == str(len(body))
    again, nothing, _ = await client.get(url, If_None_Match=headers["etag"])
    assert (again, nothing) == (304, b"")


@pytest.mark.parametrize(
    "change",
    [
        ("ccb=7-5", "ccb=7%2d5"),
        ("_nc_ht=", "_nc_ht=x"),
        ("&_nc_sid=8b3546", ""),
        ("oh=00_", "oh=00_0"),
        ("_n.jpg", "_m.jpg"),
    ],
)
async def test_any_change_breaks_the_signature(client: Client, change: tuple[str, str]) -> None:
    assert (await client.get(image_url(PK).replace(*change)))[:2] == (403, b"URL signature mismatch")
    assert (await client.get(f"https://{HOST}/v/t51.2885-15/1_2_3_n.jpg"))[0] == 403


async def test_a_signature_is_good_for_four_to_five_days(client: Client) -> None:
    now = int(time.time())
    ends = int(image_url(PK).partition("&oe=")[2][:8], 16)
    assert 4 * 86_400 <= ends - now <= 5 * 86_400 + 3_600
    assert (await client.get(image_url(PK, expires=now - 1)))[:2] == (403, b"URL signature expired")
    assert (await client.get(image_url(PK, expires=now + 30)))[0] == 200


@pytest.mark.parametrize("host", ["i.ytimg.com", "yt3.ggpht.com", "yt3.googleusercontent.com"])
async def test_youtubes_addresses_are_not_signed(client: Client, host: str) -> None:
    assert (await client.get(f"https://{host}/vi/abc/hqdefault.jpg"))[0] == 200


async def test_other_hosts_are_not_served(client: Client) -> None:
    for host in ("cdn.example", "cdninstagram.com.example"):
        assert (await client.get(f"https://{host}/x.jpg"))[0] == 421


@pytest.mark.parametrize("case", CASES, ids=str)
async def test_what_the_providers_name_is_served(client: Client, case: Case) -> None:
    """One address of each kind of path: the signature is the same rule for all."""
    found: dict[str, str] = {}
    for words in list(subjects())[:8]:
        paths = (case.path,) if isinstance(case.path, str) else case.path
        for path in paths:
            body = ask(HOSTS[case.source], path.format(**words)).body.decode().replace("\\u0026", "&")
            for url in _URL.findall(body.replace("\\/", "/")):
                if Cdn.serves(urlsplit(url).hostname or ""):
                    found.setdefault(re.sub(r"\d+", "", url.partition("&")[0]), url)
    assert found or case.function not in ("fetch_profile_by_handle", "fetch_post_by_shortcode")
    for url in found.values():
        assert (await client.get(url))[0] == 200, url


async def test_faults_of_the_cdn_are_for_the_cdn(sandbox: Sandbox) -> None:
    with pytest.raises(ValueError, match="a fault of source cdn only"):
        await sandbox.fault("lama", "expired")


async def test_a_fault_may_be_aimed_at_one_file(client: Client, sandbox: Sandbox) -> None:
    await sandbox.fault("cdn", "not_found", subject=str(PK))
    await sandbox.fault("cdn", "server_error", function="video")
    assert (await client.get(image_url(PK)))[0] == 404
    assert (await client.get(image_url(PK + 1)))[0] == 200
    assert (await client.get(video_url(PK + 1)))[0] == 500
    stats = await sandbox.stats()
    assert stats["by_source"] == {"cdn": 3}
