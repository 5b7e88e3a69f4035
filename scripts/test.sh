#!/usr/bin/env bash
# Everything that must hold, from a fresh clone: set-up, private servers, linters, types, layers, tests.
# Arguments go to pytest; without -m among them the long soak runs stay out. The whole suite is shared by several
# processes; who chooses tests (paths, -k, -m, ...) or looks at them (-s, --pdb, ...) gets one, or as many as -n says.
set -euo pipefail
cd "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/.."

scripts/setup --dev
scripts/stack up || {
    code=$?
    echo "test.sh: the tests need real servers and scripts/stack could not start them (see above)" >&2
    exit "$code"
}

unset PYTHONDONTWRITEBYTECODE # the tests start hundreds of programs; without it each compiles every module again

step() {
    echo "== $1" >&2
    shift
    "$@"
}
.venv/bin/python -m tests.support.moto & # meanwhile, and not within a test's time limit
step ruff .venv/bin/ruff check .
step mypy .venv/bin/mypy --strict .
step import-linter .venv/bin/lint-imports

wait || true # the test that needs it tries again and says what is wrong

marker=(-m "not soak")
sharing=(--dist loadfile --no-loadscope-reorder) # fixtures of a module are made once; its order is tests/conftest.py's
processes=(-n 3)                                 # more than the cores of a small machine: most tests wait
for argument in "$@"; do
    case "$argument" in
    -m | -m?* | --markexpr*) marker=() processes=() ;;
    -n | -n?* | --numprocesses*) processes=() numbered=1 ;;
    --dist* | -d) sharing=() ;;
    -k* | -p* | -s | --capture* | --pdb* | --trace | --lf | --last-failed | --sw* | --stepwise* | --co*) processes=() ;;
    -*) ;;
    *) if [ -e "${argument%%::*}" ]; then processes=(); fi ;;
    esac
done
[ -n "${numbered:-}${processes[*]}" ] || sharing=()
step pytest .venv/bin/python -m pytest "${marker[@]}" "${processes[@]}" "${sharing[@]}" "$@"
