#!/usr/bin/env bash
# The main job from a fresh clone: 400 creators of the simulator through REST and SQL, compared row by row at the end.
# --keep leaves everything running until Ctrl-C; --help lists the rest.
set -euo pipefail
cd "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/.."

scripts/setup
scripts/stack up
exec .venv/bin/python -m scripts.demo "$@"
