"""Where a bucket is: the host and the paths of its objects."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Self
from urllib.parse import quote, urlsplit

from utils.object_store import StoreAccess
from utils.urls import DEFAULT_PORTS

_UNRESERVED = "/-_.~"
_PLAIN = re.compile(r"[A-Za-z0-9/_.~-]+")


@dataclass(frozen=True, slots=True)
class StorePlace:
    """``base`` is scheme and host; paths begin with ``prefix``."""

    base: str
    host: str
    prefix: str

    @classmethod
    def of(cls, access: StoreAccess) -> Self:
        """By path on a server of one's own; by host name at AWS, unless the bucket's name has dots, which no
        certificate covers."""
        bucket = quote(access.bucket, safe="")
        if access.endpoint_url is not None:
            parts = urlsplit(access.endpoint_url)
            host = parts.hostname or ""
            host = f"[{host}]" if ":" in host else host
            if parts.port not in (None, DEFAULT_PORTS[parts.scheme]):
                host = f"{host}:{parts.port}"
            return cls(f"{parts.scheme}://{host}", host, f"{parts.path.rstrip('/')}/{bucket}")
        suffix = "amazonaws.com.cn" if access.region.startswith("cn-") else "amazonaws.com"
        host = f"s3.{access.region}.{suffix}"
        if "." in access.bucket:
            return cls(f"https://{host}", host, f"/{bucket}")
        return cls(f"https://{bucket}.{host}", f"{bucket}.{host}", "")

    def path(self, key: str) -> str:
        """The path of an object as it is sent and signed."""
        return f"{self.prefix}/{key if _PLAIN.fullmatch(key) else quote(key, safe=_UNRESERVED)}"
