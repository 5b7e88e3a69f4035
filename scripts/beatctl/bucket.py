"""The bucket's lifecycle rules, applied one by one to servers that may not know them all."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from scripts.beatctl.cli import CommandFailed
from utils.object_store import StoreAccess

RULES = Path(__file__).resolve().parents[1] / "aws" / "lifecycle.json"
APPLIED = "applied"
UNSUPPORTED = "unsupported by this server"

_UNKNOWN = frozenset({"NotImplemented", "MethodNotAllowed", "MalformedXML", "InvalidRequest", "InvalidArgument", "501"})
_NONE = frozenset({"NoSuchLifecycleConfiguration", "NoSuchConfiguration", *_UNKNOWN})

_LOOKS, _LOOK_S = 5, 1.0
"""AWS may show the rules of before for a moment."""

Rule = dict[str, Any]


def our_rules() -> list[Rule]:
    """The rules of scripts/aws/lifecycle.json."""
    rules: list[Rule] = json.loads(RULES.read_text(encoding="utf-8"))
    return rules


def apply_rules(access: StoreAccess, rules: list[Rule]) -> Iterator[tuple[str, str]]:
    """Add each rule to what the bucket has; gives its name, and whether the server took it.

    Rules of other names stay. A server replaces all rules at once, so each step sends those that it has taken so far.

    Raises:
        CommandFailed: the store cannot be reached, or refuses for another reason.
    """
    client = _client(access)
    try:
        ours = {rule["ID"] for rule in rules}
        kept = [rule for rule in _present(client, access.bucket) if rule.get("ID") not in ours]
        for rule in rules:
            taken = _put(client, access.bucket, [*kept, rule])
            if taken:
                kept.append(rule)
            yield rule["ID"], APPLIED if taken else UNSUPPORTED
    finally:
        client.close()


def _present(client: Any, bucket: str) -> list[Rule]:
    try:
        rules: list[Rule] = client.get_bucket_lifecycle_configuration(Bucket=bucket).get("Rules", [])
    except (ClientError, BotoCoreError) as error:
        if _code(error) in _NONE:
            return []
        raise _failure(error) from error
    return rules


def _put(client: Any, bucket: str, rules: list[Rule]) -> bool:
    """Whether the server has the last rule afterwards: some answer 200 to what they do not understand."""
    try:
        client.put_bucket_lifecycle_configuration(Bucket=bucket, LifecycleConfiguration={"Rules": rules})
    except (ClientError, BotoCoreError) as error:
        if _code(error) in _UNKNOWN:
            return False
        raise _failure(error) from error
    for look in range(_LOOKS):
        if look:
            time.sleep(_LOOK_S)
        if any(rules[-1].items() <= rule.items() for rule in _present(client, bucket)):
            return True
    return False


def _code(error: Exception) -> str:
    return str(error.response.get("Error", {}).get("Code", "")) if isinstance(error, ClientError) else ""


def _failure(error: Exception) -> CommandFailed:
    return CommandFailed(f"the object store did not do it: {_code(error) or type(error).__name__}")


def _client(access: StoreAccess) -> Any:
    return boto3.client(
        "s3",
        endpoint_url=access.endpoint_url,
        aws_access_key_id=access.access_key,
        aws_secret_access_key=access.secret_key,
        region_name=access.region,
        config=Config(
            s3={"addressing_style": "path" if access.endpoint_url else "auto"},
            retries={"mode": "standard", "max_attempts": 3},
            connect_timeout=5,
            read_timeout=20,
        ),
    )
