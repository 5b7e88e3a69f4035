"""Our signatures equal botocore's, for many keys, headers and times."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime
from unittest.mock import patch

from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from hypothesis import example, given
from hypothesis import strategies as st

from core.client.sigv4 import Keys, Signer
from core.client.store_place import StorePlace
from utils.object_store import StoreAccess

SERVERS = [None, "http://127.0.0.1:9000", "https://s3.example", "http://[::1]:8080", "https://s3.example:443/base/"]
WORDS = st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E), min_size=1, max_size=40)
OBJECT_KEYS = st.text(min_size=1, max_size=60)
HEADERS = st.dictionaries(
    st.sampled_from(
        ["content-type", "cache-control", "content-disposition", "content-md5", "x-amz-meta-a", "x-amz-acl"]
    ),
    WORDS.filter(lambda word: word.strip() == word),
)


def botocore_says(keys: Keys, region: str, verb: tuple[str, str], headers: dict[str, str], body: bytes) -> str:
    request = AWSRequest(verb[0], verb[1], headers=dict(headers), data=body)
    request.context["payload_signing_enabled"] = True
    S3SigV4Auth(Credentials(keys.access, keys.secret, keys.token), "s3", region).add_auth(request)
    return str(request.headers["Authorization"])


@given(
    key=OBJECT_KEYS,
    headers=HEADERS,
    body=st.binary(max_size=100),
    secret=WORDS,
    token=st.none() | st.text("abcXYZ019+/=", min_size=1, max_size=40),
    server=st.sampled_from(SERVERS),
    at=st.datetimes(datetime(2000, 1, 1), datetime(2100, 1, 1)),  # noqa: DTZ001 - hypothesis wants naive bounds
)
@example(
    key="a/../b//c %2F+~\N{DEVANAGARI LETTER A}",
    headers={"cache-control": "public,  max-age=1", "content-type": "image/jpeg"},
    body=b"",
    secret="s",
    token=None,
    server=None,
    at=datetime(2024, 5, 9),  # noqa: DTZ001 - as above
)
def test_a_signature_equals_botocores(
    *, key: str, headers: dict[str, str], body: bytes, secret: str, token: str | None, server: str | None, at: datetime
) -> None:
    keys = Keys("AKIDEXAMPLE", secret, token)
    place = StorePlace.of(StoreAccess("a-bucket", server))
    path = place.path(key)
    signer = Signer(place.host, "ap-south-1")
    sha256 = hashlib.sha256(body).hexdigest()
    ours = signer.sign(keys, ("PUT", path), headers, sha256, at.replace(tzinfo=UTC))
    with patch("botocore.auth.get_current_datetime", lambda: at.replace(tzinfo=None)):
        theirs = botocore_says(keys, "ap-south-1", ("PUT", place.base + path), headers, body)
    assert ours["authorization"] == theirs


def test_the_key_of_the_day_changes_with_the_day_and_the_keys() -> None:
    signer = Signer("s3.example", "us-east-1")
    said = {
        signer.sign(Keys("a", secret), ("PUT", "/b/k"), {}, "0" * 64, datetime(2024, 5, day, tzinfo=UTC))[
            "authorization"
        ]
        for secret in ("one", "two")
        for day in (1, 2)
    }
    assert len(said) == 4


def test_a_bucket_is_named_by_the_host_at_aws_and_by_the_path_elsewhere() -> None:
    def url(bucket: str, endpoint: str | None, region: str) -> str:
        place = StorePlace.of(StoreAccess(bucket, endpoint, region=region))
        return place.base + place.path("assets/a b.jpg")

    assert url("pics", None, "ap-south-1") == "https://pics.s3.ap-south-1.amazonaws.com/assets/a%20b.jpg"
    assert url("my.pics", None, "us-east-1") == "https://s3.us-east-1.amazonaws.com/my.pics/assets/a%20b.jpg"
    assert url("pics", None, "cn-north-1") == "https://pics.s3.cn-north-1.amazonaws.com.cn/assets/a%20b.jpg"
    assert url("pics", "http://127.0.0.1:80/s3/", "us-east-1") == "http://127.0.0.1/s3/pics/assets/a%20b.jpg"


def test_secrets_are_in_no_text_form() -> None:
    assert "hunter2" not in repr(Keys("a", "hunter2", "hunter2"))
