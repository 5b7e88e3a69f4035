#!/usr/bin/env bash
# Everything that must hold, from a fresh clone: set-up, private servers, linters, types, layers, tests.
# Arguments go to pytest; without -m among them the long soak runs stay out.
set -euo pipefail
cd "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/.."

scripts/setup --dev
scripts/stack up || {
    code=$?
    echo "test.sh: the tests need real servers and scripts/stack could not start them (see above)" >&2
    exit "$code"
}

step() {
    echo "== $1" >&2
    shift
    "$@"
}
step ruff .venv/bin/ruff check .
step mypy .venv/bin/mypy --strict .
step import-linter .venv/bin/lint-imports

marker=(-m "not soak")
for argument in "$@"; do
    case "$argument" in -m | -m?* | --markexpr*) marker=() ;; esac
done
step pytest .venv/bin/python -m pytest "${marker[@]}" "$@"
