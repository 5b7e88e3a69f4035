"""Where a checkout keeps its servers' files, and which account may read them."""

from __future__ import annotations

import hashlib
import os
import pwd
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from scripts.stackd.errors import StackError

SERVER_ACCOUNT = "postgres"  # of the Debian package; Postgres and PgBouncer refuse to run as root


def is_root() -> bool:
    """Whether privileges exist that some servers want dropped."""
    return os.geteuid() == 0


def folder(path: Path) -> Path:
    """Make a directory that every account may enter, whatever the umask."""
    path.mkdir(parents=True, exist_ok=True)
    path.chmod(0o755)
    return path


@dataclass(frozen=True)
class Layout:
    """Paths below `.stack/` of one checkout."""

    checkout: Path

    @property
    def home(self) -> Path:
        """`.stack/`."""
        return self.checkout / ".stack"

    @property
    def env_file(self) -> Path:
        """KEY=VALUE lines while the stack is up."""
        return self.home / "env"

    @property
    def unpacked(self) -> Path:
        """Root of Debian packages unpacked for a user who cannot install them."""
        return self.home / "root"

    @property
    def cache(self) -> Path:
        """Python environments of servers; several checkouts may share one through BEAT_CACHE_DIR."""
        return Path(os.environ.get("BEAT_CACHE_DIR") or self.home / "cache")

    @property
    def pids(self) -> Path:
        """Pid files."""
        return self.home / "pids"

    @property
    def logs(self) -> Path:
        """One log file a server."""
        return self.home / "logs"

    @property
    def spare(self) -> Path:
        """Place for data that the servers' account could not reach, or not mark, inside the checkout."""
        key = hashlib.sha256(f"{os.geteuid()}:{self.checkout}".encode()).hexdigest()[:12]
        return Path(f"/var/tmp/beat-{key}")  # noqa: S108 - its owner is checked

    @cached_property
    def data(self) -> Path:
        """Directory of the servers' data, entered through `.stack/data`, which may be a link."""
        link = self.home / "data"
        if not link.exists():
            self._create_data(link)
        return link.resolve()

    def _create_data(self, link: Path) -> None:
        if reachable(self.home) and takes_attributes(self.home):
            folder(link)
            return
        folder(self.spare)
        if self.spare.stat().st_uid != os.geteuid():
            raise StackError(f"{self.spare} belongs to somebody else; remove it")
        link.unlink(missing_ok=True)
        link.symlink_to(self.spare)

    def create(self) -> None:
        """Make the directories."""
        for path in (self.home, self.pids, self.logs):
            folder(path)
        folder(self.data)

    def server_account(self) -> pwd.struct_passwd | None:
        """The account to drop to, None when the invoking user is no root."""
        return pwd.getpwnam(SERVER_ACCOUNT) if is_root() else None


def reachable(path: Path) -> bool:
    """Whether the servers' account can enter this directory: every parent must let strangers through."""
    return not is_root() or all(each.stat().st_mode & 0o001 for each in (path.resolve(), *path.resolve().parents))


def takes_attributes(path: Path) -> bool:
    """Whether the file system keeps user attributes, where the S3 server stores object metadata."""
    try:
        os.setxattr(path, "user.beat", b"1")
        os.removexattr(path, "user.beat")
    except OSError:
        return False
    return True
