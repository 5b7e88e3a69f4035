"""A real S3 API: OpenStack Swift with its s3api middleware, one proxy over one storage node."""

from __future__ import annotations

import base64
import hashlib
import hmac
import http.client
import os
import pwd
import secrets
import time
from email.utils import formatdate
from functools import cached_property
from pathlib import Path

from scripts.stackd.environments import environment_path, install_environment
from scripts.stackd.errors import StackError
from scripts.stackd.layout import folder
from scripts.stackd.process import Program
from scripts.stackd.service import Service

REQUIREMENTS = Path(__file__).with_name("requirements-swift.txt")
BUCKET, ACCESS_KEY, REGION = "beat-assets", "beat:stack", "us-east-1"
STORAGE = ("account", "container", "object")

COMMON = """\
[DEFAULT]
bind_ip = 127.0.0.1
bind_port = {port}
user = {user}
swift_dir = {etc}
devices = {devices}
mount_check = false
disable_fallocate = true
workers = 0
log_level = WARNING
"""
STORAGE_CONF = """
[pipeline:main]
pipeline = healthcheck {kind}-server
[app:{kind}-server]
use = egg:swift#{kind}
[filter:healthcheck]
use = egg:swift#healthcheck
"""
PROXY_CONF = """
[pipeline:main]
pipeline = {pipeline} proxy-server
[app:proxy-server]
use = egg:swift#proxy
account_autocreate = true
[filter:s3api]
use = egg:swift#s3api
location = {region}
[filter:tempauth]
use = egg:swift#tempauth
user_{account} = {secret} .admin
"""
FILTERS = ("catch_errors", "gatekeeper", "healthcheck", "listing_formats", "s3api", "tempauth", "bulk", "slo", "dlo")


class S3(Service):
    """Checks signatures, checksums and preconditions, and keeps objects in files."""

    name = "s3"
    port_names = ("s3", "s3_account", "s3_container", "s3_object")

    @cached_property
    def _bin(self) -> Path:
        return environment_path(self.context.layout, REQUIREMENTS) / "bin"

    @property
    def _etc(self) -> Path:
        return self.data / "etc"

    @property
    def secret(self) -> str:
        """Secret access key, made up once a stack."""
        return secret_key(self.data)

    def programs(self) -> dict[str, Program]:
        return {f"s3-{kind}": self._program(kind) for kind in (*STORAGE, "proxy")}

    def _program(self, kind: str) -> Program:
        argv: list[str | Path] = [self._bin / f"swift-{kind}-server", self._etc / f"{kind}.conf", "-v"]
        return Program(argv, self.data, self.context.environ)

    def prepare(self) -> None:
        install_environment(self.context.layout, REQUIREMENTS)
        for path in (self.data, self._etc, self.data / "devices", self.data / "devices" / "d1"):
            folder(path)
        self._write("swift.conf", SWIFT_CONF.format(salt=hashlib.sha256(self.secret.encode()).hexdigest()[:16]))
        for kind in STORAGE:
            self._write(f"{kind}.conf", self._common(f"s3_{kind}") + STORAGE_CONF.format(kind=kind))
        proxy = PROXY_CONF.format(
            pipeline=" ".join(FILTERS), region=REGION, account=ACCESS_KEY.replace(":", "_"), secret=self.secret
        )
        plain = [f"[filter:{name}]\nuse = egg:swift#{name}\n" for name in FILTERS if name not in ("s3api", "tempauth")]
        self._write("proxy.conf", self._common("s3") + proxy + "".join(plain))
        self._build_rings()

    def _common(self, port_name: str) -> str:
        user = pwd.getpwuid(os.geteuid()).pw_name
        return COMMON.format(port=self.ports[port_name], user=user, etc=self._etc, devices=self.data / "devices")

    def _write(self, name: str, text: str) -> None:
        path = self._etc / name
        path.touch(mode=0o600)
        path.write_text(text)

    def _build_rings(self) -> None:
        """Rings hold the ports: made again when those change (partition placement does not depend on them)."""
        stamp = self._etc / "rings"
        if stamp.exists() and stamp.read_text() == str(self.ports.base):
            return
        places = [f"{kind}={self.ports[f's3_{kind}']}" for kind in STORAGE]
        self.run([self._bin / "python", "-P", Path(__file__).with_name("rings.py"), self._etc, *places])
        stamp.write_text(str(self.ports.base))

    def ready(self) -> bool:
        return all(healthy(self.ports[name]) for name in self.port_names)

    def complete(self) -> None:
        """Create the bucket. A proxy that came up before its storage servers were ready says 503 for a while."""
        deadline = time.monotonic() + self.patience_s
        while True:
            status, body = self._put_bucket()
            if status == 200 or "BucketAlreadyOwnedByYou" in body:
                return
            if status < 500 or time.monotonic() > deadline:
                raise StackError(f"s3: bucket {BUCKET} was not created ({status})\n{body}")
            time.sleep(0.5)

    def _put_bucket(self) -> tuple[int, str]:
        """Ask for it once (signature version 2: short, and good enough to make one bucket)."""
        date = formatdate(usegmt=True)
        text = f"PUT\n\n\n{date}\n/{BUCKET}"
        digest = hmac.new(self.secret.encode(), text.encode(), hashlib.sha1).digest()
        signed = {"Date": date, "Authorization": f"AWS {ACCESS_KEY}:{base64.b64encode(digest).decode()}"}
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        connection.request("PUT", f"/{BUCKET}", headers=signed)
        answer = connection.getresponse()
        body = answer.read().decode(errors="replace")
        connection.close()
        return answer.status, body


SWIFT_CONF = """\
[swift-hash]
swift_hash_path_prefix = {salt}
swift_hash_path_suffix = beat
[storage-policy:0]
name = one
default = yes
"""


def secret_key(data: Path) -> str:
    """Read the stack's own secret access key, making it at first."""
    path = data / "secret"
    if not path.exists():
        folder(data)
        path.touch(mode=0o600)
        path.write_text(secrets.token_hex(20))
    return path.read_text()


def healthy(port: int) -> bool:
    """Whether a Swift server says OK there."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=2)
    try:
        connection.request("GET", "/healthcheck")
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()
