"""RabbitMQ 3.10 as a node of its own: own epmd, cookie, ports and directories."""

from __future__ import annotations

import secrets
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from scripts.stackd.layout import folder
from scripts.stackd.process import Program
from scripts.stackd.redis import exchange
from scripts.stackd.service import Service

# A smaller memory limit raises the alarm in a burst of 20,000 messages; quorum queues map a log of 512 MB by default.
CONFIG = """\
vm_memory_high_watermark.absolute = 1GB
disk_free_limit.absolute = 50MB
raft.wal_max_size_bytes = 67108864
log.file.level = warning
"""
QUIET = "+sbwt none +sbwtdcpu none +sbwtdio none"  # no spinning schedulers on small machines


class RabbitMQ(Service):
    """The broker (guest/guest, loopback only)."""

    name = "rabbitmq"
    port_names = ("amqp", "dist", "epmd")
    patience_s = 90.0

    @property
    def _scripts(self) -> Path:
        """The plain scripts: those of /usr/sbin change user and share /var/lib/rabbitmq."""
        unpacked = self.context.layout.unpacked / "usr/lib/rabbitmq/bin"
        return unpacked if unpacked.is_dir() else Path("/usr/lib/rabbitmq/bin")

    def _environ(self) -> dict[str, str]:
        low, high = self.ports.spare
        data, dist = self.data, "-kernel inet_dist_use_interface {127,0,0,1} -start_epmd false"
        return {
            **self.context.environ,
            "HOME": str(data),  # holds .erlang.cookie
            "RABBITMQ_NODENAME": "beat@localhost",
            "RABBITMQ_NODE_IP_ADDRESS": "127.0.0.1",
            "RABBITMQ_NODE_PORT": str(self.port),
            "RABBITMQ_DIST_PORT": str(self.ports["dist"]),
            "ERL_EPMD_PORT": str(self.ports["epmd"]),
            "ERL_EPMD_ADDRESS": "127.0.0.1",
            "RABBITMQ_CTL_DIST_PORT_MIN": str(low),
            "RABBITMQ_CTL_DIST_PORT_MAX": str(high),
            "RABBITMQ_MNESIA_BASE": str(data / "mnesia"),
            "RABBITMQ_LOG_BASE": str(data / "log"),
            "RABBITMQ_PID_FILE": str(data / "node.pid"),
            "RABBITMQ_CONFIG_FILE": str(data / "rabbitmq"),
            "RABBITMQ_CONFIG_FILES": str(data / "conf.d"),
            "RABBITMQ_ADVANCED_CONFIG_FILE": str(data / "advanced.config"),
            "RABBITMQ_CONF_ENV_FILE": str(data / "rabbitmq-env.conf"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(data / "enabled_plugins"),
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": f"{dist} {QUIET}",
            "RABBITMQ_CTL_ERL_ARGS": dist,
            "detached": "true",  # the start script then becomes the node instead of minding it
        }

    def programs(self) -> dict[str, Program]:
        environ = self._environ()
        epmd = shutil.which("epmd", path=environ["PATH"]) or "epmd"
        return {
            "epmd": Program([epmd, "-port", environ["ERL_EPMD_PORT"], "-address", "127.0.0.1"], self.data, environ),
            self.name: Program([self._scripts / "rabbitmq-server"], self.data, environ),
        }

    def prepare(self) -> None:
        for path in (self.data, self.data / "mnesia", self.data / "log", self.data / "conf.d"):
            folder(path)
        (self.data / "rabbitmq.conf").write_text(CONFIG)
        (self.data / "enabled_plugins").write_text("[].\n")
        (self.data / "rabbitmq-env.conf").write_text("")
        cookie = self.data / ".erlang.cookie"
        if not cookie.exists():
            cookie.touch(mode=0o600)
            cookie.write_text(secrets.token_hex(16))
            cookie.chmod(0o400)
        if "epmd" in self.missing():
            self.daemon(self.name).stop(self.programs()[self.name].stop_signal)  # a node does not find a new epmd

    def ready(self) -> bool:
        """Listeners open last, after queues are recovered; a broker offers its protocol as method frame 10.10."""
        return exchange(self.port, b"AMQP\x00\x00\x09\x01", 11).endswith(b"\x00\x0a\x00\x0a")

    def control(self, arguments: Sequence[str]) -> int:
        """Run rabbitmqctl on this node with the caller's terminal and return its exit code."""
        return subprocess.run([self._scripts / "rabbitmqctl", *arguments], env=self._environ(), check=False).returncode
