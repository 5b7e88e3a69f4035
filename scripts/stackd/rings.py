"""Writes Swift's rings: `python -P rings.py DIRECTORY KIND=PORT...`, run by the S3 server's own Python.

One process instead of nine runs of swift-ring-builder, which takes most of a second each time.
"""

from __future__ import annotations

import sys
from importlib import import_module
from pathlib import Path


def write_ring(directory: Path, kind: str, port: int) -> None:
    """One replica on the one device of this machine."""
    builder = import_module("swift.common.ring.builder").RingBuilder(4, 1, 0)
    device = {"region": 1, "zone": 1, "ip": "127.0.0.1", "port": port, "device": "d1", "weight": 1.0}
    builder.add_dev({**device, "replication_ip": "127.0.0.1", "replication_port": port, "meta": ""})
    builder.rebalance()
    builder.get_ring().save(str(directory / f"{kind}.ring.gz"))


if __name__ == "__main__":
    for pair in sys.argv[2:]:
        name, _, number = pair.partition("=")
        write_ring(Path(sys.argv[1]), name, int(number))
