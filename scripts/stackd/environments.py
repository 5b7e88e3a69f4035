"""Hash-pinned virtual environments of Python servers, shared by all who pin the same."""

from __future__ import annotations

import fcntl
import hashlib
import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

from scripts.stackd.errors import OK, StackError
from scripts.stackd.layout import Layout, is_root
from scripts.stackd.packages import get_packages


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
            _install(layout, target, requirements)


def _install(layout: Layout, target: Path, requirements: Path) -> None:
    create_virtualenv(layout, target)
    quiet = ["-q", "--disable-pip-version-check", "--no-input"]
    _run([target / "bin" / "python", "-m", "pip", "install", *quiet, "--require-hashes", "-r", requirements])
    (target / "complete").touch()


def create_virtualenv(layout: Layout, target: Path) -> None:
    """Make an empty environment with pip, also where Debian's Python came without ensurepip."""
    name = "python{}.{}".format(*sys.version_info)
    python = Path(sys.base_prefix) / "bin" / name  # not that of a virtual environment, which may be thrown away
    has_ensurepip = find_spec("ensurepip") is not None
    if not has_ensurepip and is_root():
        get_packages(["python3-venv"], layout)
    if has_ensurepip or is_root():
        _run([python, "-m", "venv", "--clear", target])
        return
    wheels = layout.unpacked / "usr/share/python-wheels"
    if not wheels.is_dir():
        get_packages(["python3-pip-whl", "python3-setuptools-whl"], layout)
    _install_pip(python, target, sorted(wheels.glob("*.whl")))


def _install_pip(python: Path, target: Path, wheels: list[Path]) -> None:
    """What ensurepip does, with wheels of our own finding."""
    _run([python, "-m", "venv", "--clear", "--without-pip", target])
    pip = next(wheel for wheel in wheels if wheel.name.startswith("pip-"))
    # pip runs from its own wheel here
    _run([target / "bin" / "python", pip / "pip", "install", "-q", "--no-index", *wheels])


def _run(argv: list[str | Path]) -> None:
    environ = {key: value for key, value in os.environ.items() if key not in ("PYTHONPATH", "PYTHONHOME")}
    done = subprocess.run(argv, capture_output=True, text=True, check=False, env=environ)
    if done.returncode:
        raise StackError(f"{' '.join(map(str, argv))} failed\n{done.stdout}{done.stderr}")


def main() -> int:
    """`python -m scripts.stackd.environments CHECKOUT`: make its `.venv` for scripts/setup."""
    layout = Layout(Path(sys.argv[1]))
    try:
        create_virtualenv(layout, layout.checkout / ".venv")
    except StackError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    return OK


if __name__ == "__main__":
    sys.exit(main())
