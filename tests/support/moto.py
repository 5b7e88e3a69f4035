"""An S3 server that knows lifecycle rules, in an environment of its own: it needs another botocore than Beat.

It checks no signatures: what concerns those runs on the stack's server.
"""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from scripts.stackd.environments import environment_path, install_environment
from scripts.stackd.layout import Layout
from tests.support.ports import free_port
from tests.support.s3 import S3Access
from tests.support.stack import ROOT, answers

REQUIREMENTS = Path(__file__).with_name("requirements-moto.txt")


def install() -> Layout:
    """Make the environment, if it is not there."""
    layout = Layout(ROOT)
    install_environment(layout, REQUIREMENTS)
    return layout


@contextmanager
def moto_bucket() -> Iterator[S3Access]:
    """A bucket of a server that lives as long as the context."""
    layout, port = install(), free_port()
    program = environment_path(layout, REQUIREMENTS) / "bin" / "moto_server"
    server = subprocess.Popen(
        [program, "-H", "127.0.0.1", "-p", str(port)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        access = S3Access(f"http://127.0.0.1:{port}", "moto", "moto-secret", "us-east-1", "beat-moto")
        deadline = time.monotonic() + 60
        while not answers(access.endpoint_url):
            if time.monotonic() > deadline or server.poll() is not None:
                raise AssertionError("moto did not start")
            time.sleep(0.1)
        client = access.client()
        client.create_bucket(Bucket=access.bucket)
        client.close()
        yield access
    finally:
        server.kill()
        server.wait()


if __name__ == "__main__":
    install()
