"""A CDN on this machine: nginx, unpacked below .stack and never installed, in front of made-up pictures."""

from __future__ import annotations

import asyncio
import contextlib
import io
import os
import random
import shutil
import socket
import struct
import subprocess
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from scripts.bench.place import ROOT, BenchError

HOME = ROOT / ".stack" / "nginx"
PACKAGES = ("nginx", "nginx-common")

USUAL = "usual"
ODD = ("png", "webp", "gif", "mp4", "large")
SLOW, BROKEN = "slow", "broken"

CONFIG = """
daemon off;
worker_processes 1;
worker_rlimit_nofile 16384;
pid {home}/nginx.pid;
error_log stderr error;
events {{ worker_connections 8192; }}
http {{
    access_log off;
    sendfile on;
    tcp_nopush on;
    keepalive_requests 1000000;
    client_body_temp_path {home}/t1; proxy_temp_path {home}/t2; fastcgi_temp_path {home}/t3;
    uwsgi_temp_path {home}/t4; scgi_temp_path {home}/t5;
    default_type image/jpeg;
    types {{ image/jpeg jpg; }}
    open_file_cache max=100 inactive=600s;
    server {{
        listen 127.0.0.1:{port} backlog=8192;
        root {home}/files;
        location ~ ^/v/t51/slow/ {{ limit_rate 20k; try_files /usual =404; }}
        location ~ ^/v/t51/broken/ {{ return 503; }}
        location ~ ^/v/t51/(?<kind>[a-z0-9]+)/ {{ try_files /$kind =404; }}
        location = /ready {{ return 204; }}
    }}
}}
"""
"""``slow`` files take two seconds, ``broken`` ones never come. Every other word is the name of a file."""


@dataclass(frozen=True, slots=True)
class Cdn:
    """A running server."""

    port: int
    pid: int

    @property
    def url(self) -> str:
        """What ASSET_SANDBOX_CDN says."""
        return f"http://127.0.0.1:{self.port}"


def picture_url(kind: str, number: int, *, lives_s: float = 86400.0) -> str:
    """A URL as Instagram's CDN has them; the host is one of four."""
    until = int(time.time() + lives_s)
    return (
        f"https://scontent-bom{number % 4}.cdninstagram.com/v/t51/{kind}/{number}_n.jpg"
        f"?stp=dst-jpg_e35&_nc_cat=1&ccb=7-5&_nc_ohc=Ab{number}&oh=00_{number:032x}&oe={until:08X}"
    )


def get_nginx() -> Path:
    """The program; its packages are downloaded and unpacked when they are not there.

    Raises:
        BenchError: they cannot be had.
    """
    program = HOME / "root" / "usr" / "sbin" / "nginx"
    if found := shutil.which("nginx", path=f"{program.parent}:/usr/sbin:/usr/bin"):
        return Path(found)
    folder = HOME / "debs"
    folder.mkdir(parents=True, exist_ok=True)
    try:
        subprocess.run(["apt-get", "-q", "download", *PACKAGES], cwd=folder, capture_output=True, text=True, check=True)
        for package in folder.glob("*.deb"):
            subprocess.run(["dpkg", "-x", package, HOME / "root"], capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError) as error:
        raise BenchError(f"nginx is missing and cannot be downloaded: {error}") from error
    shutil.rmtree(folder)
    return program


def make_files() -> None:
    """One JPEG of 50 KB, and odd ones: other kinds, and pictures of 1.5 MB."""
    files = HOME / "files"
    files.mkdir(parents=True, exist_ok=True)
    noise = random.Random(7)
    for name, kind, side in (
        (USUAL, "JPEG", 230), ("png", "PNG", 130), ("webp", "WEBP", 220), ("gif", "GIF", 220), ("large", "JPEG", 1290)
    ):  # fmt: skip
        picture = Image.frombytes("RGB", (side, side), noise.randbytes(3 * side * side))
        held = io.BytesIO()
        picture.save(held, kind, **({"quality": 90} if kind != "PNG" else {}))
        (files / name).write_bytes(held.getvalue())
    boxes = struct.pack(">I4s4sI4s", 20, b"ftyp", b"isom", 512, b"isom") + struct.pack(">I4s", 8 + 60_000, b"mdat")
    (files / "mp4").write_bytes(boxes + noise.randbytes(60_000))


@asynccontextmanager
async def running_cdn() -> AsyncIterator[Cdn]:
    """The server, until the context ends.

    Raises:
        BenchError: it does not start.
    """
    program = get_nginx()
    make_files()
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    config = HOME / "nginx.conf"
    config.write_text(CONFIG.format(home=HOME, port=port), encoding="utf-8")
    if os.geteuid() == 0:  # its workers drop to an account that must be able to come here
        config.write_text("user root;\n" + config.read_text(encoding="utf-8"), encoding="utf-8")
    command = ("-p", str(HOME), "-c", str(config), "-e", "stderr")
    server = await asyncio.create_subprocess_exec(program, *command, stderr=asyncio.subprocess.PIPE)
    try:
        await _until_ready(server, port)
        yield Cdn(port, server.pid)
    finally:
        if server.returncode is None:
            server.terminate()
        await server.wait()


async def _until_ready(server: asyncio.subprocess.Process, port: int) -> None:
    for _ in range(100):
        with contextlib.suppress(OSError):
            _, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.close()
            return
        if server.returncode is not None:
            break
        await asyncio.sleep(0.05)
    said = await server.stderr.read(2000) if server.stderr and server.returncode is not None else b""
    raise BenchError(f"nginx did not start: {said.decode(errors='replace')}")
