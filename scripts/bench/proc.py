"""What the kernel says about processes: parents, memory, CPU time, open files. Linux only, from /proc."""

from __future__ import annotations

import os
import platform
from collections import Counter
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

TICKS_PER_S = os.sysconf("SC_CLK_TCK")
STANDARD_FDS = 3


def descendants(pid: int) -> list[int]:
    """Every living process below ``pid``, without itself."""
    parents = _children()
    found, queue = [], [pid]
    while queue:
        below = parents.get(queue.pop(), [])
        found += below
        queue += below
    return found


def forked_by(pid: int) -> tuple[int, list[int]]:
    """The multiprocessing fork server of a process, and the children it has forked.

    Raises:
        ProcessLookupError: it has none.
    """
    parents = _children()
    for child in parents.get(pid, []):
        if "multiprocessing.forkserver" in _command(child):
            return child, parents.get(child, [])
    raise ProcessLookupError(f"process {pid} has no fork server")


def cpu_s(pids: Iterable[int]) -> float:
    """CPU seconds, user and system, that these processes have used; those that are gone count nothing."""
    used = 0
    for pid in pids:
        if words := _stat(pid):
            used += int(words[11]) + int(words[12])
    return used / TICKS_PER_S


def fine_cpu_s(pid: int) -> float:
    """CPU seconds that the living threads of a process have used, finer than the ticks of ``cpu_s``; 0 when gone."""
    used = 0
    for thread in Path(f"/proc/{pid}/task").glob("*/schedstat"):
        with suppress(OSError):
            used += int(thread.read_text(encoding="ascii").split()[0])
    return used / 1e9


def pss_mb(pid: int) -> float:
    """Proportional set size in MB (10^6 bytes): shared pages are divided among those who share them. 0 when gone."""
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii").splitlines()
    except OSError:
        return 0.0
    return next((int(line.split()[1]) * 1024 / 1e6 for line in lines if line.startswith("Pss:")), 0.0)


def threads(pid: int) -> int:
    """Number of threads; 0 when gone."""
    words = _stat(pid)
    return int(words[17]) if words else 0


def open_files(pid: int) -> dict[int, str]:
    """File descriptor -> what it is open on, as the kernel names it (such as socket:[4711])."""
    files = {}
    try:
        for entry in Path(f"/proc/{pid}/fd").iterdir():
            files[int(entry.name)] = str(entry.readlink())
    except OSError:
        pass
    return files


def shared_files(owner: int) -> Counter[str]:
    """Files, pipes and sockets that several forked children of ``owner`` hold open at once: name -> holders.

    Beyond the standard three, and beyond the two pipes that multiprocessing gives to every child: the fork server's
    life line, whose other end its owner holds, and the resource tracker's.
    """
    server, children = forked_by(owner)
    holders: Counter[str] = Counter()
    for pid in children:
        holders.update({what for fd, what in open_files(pid).items() if fd >= STANDARD_FDS and _is_one_object(what)})
    by_design = _pipes(owner) & _pipes(server)
    for pid in _children().get(owner, []):
        if "resource_tracker" in _command(pid):
            by_design |= _pipes(pid)
    return Counter({what: count for what, count in holders.items() if count > 1 and what not in by_design})


def machine_facts() -> list[tuple[str, str]]:
    """What a reader has to know to judge the figures, without naming the machine."""
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 1e9
    load = os.getloadavg()
    return [
        ("cores", str(os.cpu_count())),
        ("memory", f"{memory:.0f} GB"),
        ("load at start", f"{load[0]:.1f} {load[1]:.1f} {load[2]:.1f}"),
        ("Python", platform.python_version()),
        ("kernel", platform.release().partition("-")[0]),
    ]


def _children() -> dict[int, list[int]]:
    """Parent -> children, of all processes."""
    parents: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and (words := _stat(int(entry.name))):
            parents.setdefault(int(words[1]), []).append(int(entry.name))
    return parents


def _command(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    except OSError:
        return ""


def _pipes(pid: int) -> set[str]:
    return {what for what in open_files(pid).values() if what.startswith("pipe:")}


def _is_one_object(what: str) -> bool:
    """Anonymous inodes of one kind share a name without being the same thing."""
    return not what.startswith(("anon_inode:", "/dev/"))


def _stat(pid: int) -> list[str]:
    """Fields of /proc/<pid>/stat from the state on (field 3 of proc(5) is index 0); empty when gone."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return []
    return text.rpartition(")")[2].split()
