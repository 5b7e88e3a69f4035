"""How many files and connections a process may have open."""

from __future__ import annotations

import resource

MOST = 65_536


def allow_open_files() -> None:
    """Take what the system lets this process and its children have, up to ``MOST``.

    A shell or systemd gives 1024 unless it is asked. An uploader keeps a connection to each host that it was at within
    half a minute, and some sources name thousands of hosts.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = MOST if hard == resource.RLIM_INFINITY else min(hard, MOST)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
