"""One bucket a pytest session."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import boto3
from botocore.config import Config

from tests.support.names import session_name


@dataclass(frozen=True)
class S3Access:
    """What a client needs to use the bucket."""

    endpoint_url: str
    access_key: str
    secret_key: str
    region: str
    bucket: str

    def client(self) -> Any:
        """A synchronous client (path style: the endpoint is an address, not a name)."""
        return boto3.client(
            "s3",
            endpoint_url=self.endpoint_url,
            aws_access_key_id=self.access_key,
            aws_secret_access_key=self.secret_key,
            region_name=self.region,
            config=Config(s3={"addressing_style": "path"}, retries={"max_attempts": 1}),
        )


@contextmanager
def own_bucket(environment: Mapping[str, str]) -> Iterator[S3Access]:
    """A new bucket, removed with what is in it."""
    access = S3Access(
        environment["S3_ENDPOINT_URL"],
        environment["AWS_ACCESS_KEY"],
        environment["AWS_SECRET_ACCESS_KEY"],
        environment.get("AWS_REGION", "us-east-1"),
        session_name().replace("_", "-"),
    )
    client = access.client()
    client.create_bucket(Bucket=access.bucket)
    try:
        yield access
    finally:
        for page in client.get_paginator("list_objects_v2").paginate(Bucket=access.bucket):
            if keys := [{"Key": entry["Key"]} for entry in page.get("Contents", [])]:
                client.delete_objects(Bucket=access.bucket, Delete={"Objects": keys, "Quiet": True})
        client.delete_bucket(Bucket=access.bucket)
        client.close()
