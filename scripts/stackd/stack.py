"""The five servers of a checkout as one thing: up, down, status."""

from __future__ import annotations

import fcntl
import resource
import shutil
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress

from scripts.stackd import ports as blocks
from scripts.stackd.errors import StackError
from scripts.stackd.layout import Layout, folder
from scripts.stackd.packages import ensure_packages, server_environ
from scripts.stackd.ports import Ports
from scripts.stackd.postgres import DATABASE, USER, PgBouncer, Postgres
from scripts.stackd.rabbitmq import RabbitMQ
from scripts.stackd.redis import Redis
from scripts.stackd.service import Context, Service
from scripts.stackd.swift import ACCESS_KEY, BUCKET, REGION, S3, secret_key

KINDS: tuple[type[Service], ...] = (Postgres, PgBouncer, Redis, RabbitMQ, S3)


class Stack:
    """Private servers of one checkout."""

    def __init__(self, layout: Layout) -> None:
        self.layout = layout

    def services(self, ports: Ports, *, fast: bool = False) -> list[Service]:
        """The servers on that block of ports."""
        context = Context(self.layout, ports, fast, server_environ(self.layout))
        return [kind(context) for kind in KINDS]

    def known(self) -> list[Service]:
        """The servers where they were last; nothing before the first start."""
        ports = blocks.remembered(self.layout)
        return self.services(ports, fast=self._is_fast()) if ports else []

    def find(self, name: str) -> Service:
        """One server by name."""
        for service in self.known():
            if service.name == name:
                return service
        raise StackError(f"no server {name!r} here: run scripts/stack up")

    def _is_fast(self) -> bool:
        with suppress(OSError):
            return "STACK_FAST=1" in self.layout.env_file.read_text().splitlines()
        return False

    @contextmanager
    def lock(self) -> Iterator[None]:
        """One command at a time in a checkout."""
        folder(self.layout.home)
        with (self.layout.home / "lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    def up(self, names: Sequence[str] = (), *, fast: bool = False) -> bool:
        """Start what does not run of the named servers (all when none is named); returns whether they answer."""
        ensure_packages(self.layout)
        self.layout.create()
        raise_file_limit()
        everything = self.services(self._ports(), fast=fast)
        self._write_env(everything, fast=fast)
        services = [service for service in everything if not names or service.name in names]
        with ThreadPoolExecutor(len(services)) as pool:
            started = [pool.submit(timed_start, service) for service in services]
        answers = [reported(service, future) for service, future in zip(services, started, strict=True)]
        return all(answers)

    def _ports(self) -> Ports:
        """The block of last time, or a new one when somebody else has taken a port that a dead server of ours had."""
        ports = blocks.remembered(self.layout)
        if ports is None:
            ports = blocks.reserve(self.layout)
            for service in self.services(ports):
                service.stop()  # what still listens on ports that were forgotten would never answer here
            return ports
        services = self.services(ports)
        dead = [service for service in services if len(service.missing()) == len(service.programs())]
        taken = [ports[name] for service in dead for name in service.port_names if not blocks.is_free(ports[name])]
        if not taken:
            return ports
        print(f"port {taken[0]} is taken by another program: moving to other ports", flush=True)
        for service in services:
            service.stop()
        return blocks.reserve(self.layout)

    def _write_env(self, services: Sequence[Service], *, fast: bool) -> None:
        port = {service.name: service.port for service in services}
        values = {
            "PG_URL": f"postgresql://{USER}@127.0.0.1:{port['postgres']}/{DATABASE}",
            "PGBOUNCER_URL": f"postgresql://{USER}@127.0.0.1:{port['pgbouncer']}/{DATABASE}",
            "REDIS_URL": f"redis://127.0.0.1:{port['redis']}/0",
            "RMQ_URL": f"amqp://guest:guest@127.0.0.1:{port['rabbitmq']}/",
            "S3_ENDPOINT_URL": f"http://127.0.0.1:{port['s3']}",
            "AWS_ACCESS_KEY": ACCESS_KEY,
            "AWS_SECRET_ACCESS_KEY": secret_key(self.layout.data / S3.name),
            "AWS_REGION": REGION,
            "AWS_BUCKET": BUCKET,
            "STACK_FAST": "1" if fast else "0",
            "STACK_HOME": str(self.layout.home),
        }
        partial = self.layout.env_file.with_suffix(".new")
        partial.touch(mode=0o600)
        partial.write_text("".join(f"{key}={value}\n" for key, value in values.items()))
        partial.rename(self.layout.env_file)

    def down(self, *, purge: bool) -> None:
        """Stop every process of ours; with `purge` their data goes too."""
        services = self.known()
        if services:
            with ThreadPoolExecutor(len(services)) as pool:
                stopped = list(pool.map(Service.stop, services))
            for service, was_there in zip(services, stopped, strict=True):
                print(f"{service.name:<10} {'stopped' if was_there else 'was not running'}")
        self.layout.env_file.unlink(missing_ok=True)
        if purge:
            blocks.release(self.layout)
            for path in (self.layout.data, self.layout.logs, self.layout.pids):
                shutil.rmtree(path, ignore_errors=True)
            for name in ("data", "postgres-mode"):
                (self.layout.home / name).unlink(missing_ok=True)

    def status(self) -> bool:
        """Print one line a server; returns whether all run."""
        services = self.known()
        for service in services:
            state = "running" if service.running() else "not running"
            print(f"{service.name:<10} {state:<12} 127.0.0.1:{service.port}  {service.daemon(service.name).log}")
        if not services:
            print("not running: scripts/stack up starts the servers")
        return bool(services) and all(service.running() for service in services)


def timed_start(service: Service) -> float | None:
    """Start a server; returns the seconds it took, None when it ran already."""
    began = time.monotonic()
    return time.monotonic() - began if service.start() else None


def reported(service: Service, future: Future[float | None]) -> bool:
    """Print how the start of a server went."""
    try:
        seconds = future.result()
    except (StackError, OSError) as error:
        print(f"{service.name:<10} FAILED       {error}", flush=True)
        return False
    took = "running" if seconds is None else f"ready in {seconds:.1f} s"
    print(f"{service.name:<10} {took:<14} 127.0.0.1:{service.port}", flush=True)
    return True


def raise_file_limit() -> None:
    """Lift the soft limit of open files, which the servers inherit: PgBouncer alone may hold 1,000 clients."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    wanted = 65536 if hard == resource.RLIM_INFINITY else min(65536, hard)
    resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
