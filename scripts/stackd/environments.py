"""Hash-pinned virtual environments of Python servers, shared by all who pin the same."""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

from scripts.stackd.errors import StackError
from scripts.stackd.layout import Layout


def environment_path(layout: Layout, requirements: Path) -> Path:
    """Directory of the environment; its name holds the hash of the file, so a new pin never meets an old one."""
    key = hashlib.sha256(requirements.read_bytes() + sys.base_prefix.encode()).hexdigest()[:12]
    return layout.cache / f"{requirements.stem}-{key}"


def install_environment(layout: Layout, requirements: Path) -> None:
    """Make the environment unless it is there and whole."""
    target = environment_path(layout, requirements)
    if (target / "complete").exists():
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    with target.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (target / "complete").exists():
            _install(target, requirements)


def _install(target: Path, requirements: Path) -> None:
    shutil.rmtree(target, ignore_errors=True)
    python = Path(sys.base_prefix) / "bin" / "python3"  # not that of a virtual environment, which may be thrown away
    _run([python, "-m", "venv", target])
    quiet = ["-q", "--disable-pip-version-check", "--no-input"]
    _run([target / "bin" / "python", "-m", "pip", "install", *quiet, "--require-hashes", "-r", requirements])
    (target / "complete").touch()


def _run(argv: list[str | Path]) -> None:
    environ = {key: value for key, value in os.environ.items() if key not in ("PYTHONPATH", "PYTHONHOME")}
    done = subprocess.run(argv, capture_output=True, text=True, check=False, env=environ)
    if done.returncode:
        hint = "\n(no ensurepip: apt-get install python3-venv)" if "ensurepip" in done.stdout + done.stderr else ""
        raise StackError(f"{' '.join(map(str, argv))} failed\n{done.stdout}{done.stderr}{hint}")
