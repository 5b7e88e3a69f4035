"""Debian packages of the servers: installed when root, unpacked under `.stack/root` otherwise."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from scripts.stackd.errors import MissingPackagesError
from scripts.stackd.layout import Layout, is_root

PACKAGES = {
    "postgres": "postgresql-15",
    "pgbouncer": "pgbouncer",
    "redis-server": "redis-server",
    "rabbitmq-server": "rabbitmq-server",
}
"""Program that must be found -> package that has it."""
SYSTEM_BIN = ("/usr/lib/postgresql/15/bin", "/usr/local/bin", "/usr/bin", "/bin", "/usr/sbin", "/sbin")
POLICY = Path("/usr/sbin/policy-rc.d")
CLUSTERS = Path("/etc/postgresql-common/createcluster.conf")


def server_environ(layout: Layout) -> dict[str, str]:
    """A clean environment in which the servers are found: nothing of the caller's PG*, RABBITMQ_* or ERL_* leaks in."""
    environ = {"PATH": ":".join(SYSTEM_BIN), "HOME": str(layout.data), "LC_ALL": "C.UTF-8", "TZ": "UTC"}
    root = layout.unpacked
    if root.is_dir():
        libraries = root / "usr/lib" / (sysconfig.get_config_var("MULTIARCH") or "x86_64-linux-gnu")
        environ["PATH"] = ":".join([*(f"{root}{path}" for path in SYSTEM_BIN), environ["PATH"]])
        environ["LD_LIBRARY_PATH"] = f"{libraries}:{root}/lib/{libraries.name}"
    return environ


def missing_packages(layout: Layout) -> list[str]:
    """Packages whose program is nowhere to be found."""
    path = server_environ(layout)["PATH"]
    return [package for program, package in PACKAGES.items() if not shutil.which(program, path=path)]


def ensure_packages(layout: Layout) -> None:
    """Get what is missing or say in one line what to install."""
    wanted = missing_packages(layout)
    if not wanted:
        return
    get_packages(wanted, layout)
    if still := missing_packages(layout):
        raise MissingPackagesError(_advice(still, ""))


def get_packages(wanted: list[str], layout: Layout) -> None:
    """Install, or without privileges unpack, these packages and what they need."""
    print(f"getting {' '.join(wanted)}", file=sys.stderr, flush=True)
    try:
        if is_root():
            _install(wanted)
        else:
            _unpack(wanted, layout)
    except (OSError, subprocess.CalledProcessError) as error:
        raise MissingPackagesError(_advice(wanted, getattr(error, "stderr", "") or str(error))) from error


def _advice(packages: list[str], reason: str) -> str:
    last = reason.strip().splitlines()[-1:] or ["their programs are not in the usual places"]
    return f"missing packages: apt-get install --no-install-recommends {' '.join(packages)}   ({last[0]})"


def _apt(*arguments: str, cwd: Path | None = None) -> str:
    environ = {**os.environ, "DEBIAN_FRONTEND": "noninteractive", "LC_ALL": "C.UTF-8"}
    argv = ["apt-get", "-q", "-o", "DPkg::Lock::Timeout=300", *arguments]
    return subprocess.run(argv, env=environ, cwd=cwd, capture_output=True, text=True, check=True).stdout


def _install(packages: list[str]) -> None:
    with nothing_starts():
        try:
            _install_quietly(packages)
        except subprocess.CalledProcessError:
            _apt("update")  # lists may be absent, or name versions that are gone
            _install_quietly(packages)


def _install_quietly(packages: list[str]) -> None:
    options = ("install", "-y", "--no-install-recommends")
    if "postgresql-15" in packages:
        _apt(*options, "postgresql-common")  # brings the file that says whether a cluster is made and started
        with _no_main_cluster():
            _apt(*options, *packages)
    else:
        _apt(*options, *packages)


@contextmanager
def nothing_starts() -> Iterator[None]:
    """Forbid package scripts to start services; an existing policy stays in force and in place."""
    try:
        with POLICY.open("x") as policy:
            policy.write("#!/bin/sh\nexit 101\n")
    except FileExistsError:
        yield
        return
    POLICY.chmod(0o755)
    try:
        yield
    finally:
        POLICY.unlink(missing_ok=True)


@contextmanager
def _no_main_cluster() -> Iterator[None]:
    before = CLUSTERS.read_text()
    CLUSTERS.write_text(f"{before}\ncreate_main_cluster = false\n")
    try:
        yield
    finally:
        CLUSTERS.write_text(before)


def _unpack(packages: list[str], layout: Layout) -> None:
    """Download the packages with what they need and unpack them, no privileges asked."""
    folder = layout.home / "debs"
    folder.mkdir(parents=True, exist_ok=True)
    plan = _apt("install", "-s", "--no-install-recommends", *packages)
    names = [line.split()[1] for line in plan.splitlines() if line.startswith("Inst ")]
    _apt("download", *names, cwd=folder)
    for package in folder.glob("*.deb"):
        subprocess.run(["dpkg", "-x", package, layout.unpacked], check=True, capture_output=True, text=True)
    shutil.rmtree(folder, ignore_errors=True)
    _relocate_erlang(layout.unpacked)


def _relocate_erlang(root: Path) -> None:
    """Debian's start script of Erlang knows no place but its own."""
    for script in (root / "usr/lib/erlang").glob("**/bin/erl"):
        script.write_text(script.read_text().replace("ROOTDIR=/usr/lib", f'ROOTDIR="{root}"/usr/lib'))
