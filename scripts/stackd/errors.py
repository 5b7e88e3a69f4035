"""Failures whose text is all the user needs, and the exit codes of scripts/stack."""

from __future__ import annotations

OK, FAILED, USAGE, NOT_RUNNING, MISSING = 0, 1, 2, 3, 4


class StackError(Exception):
    """Printed as one message without a traceback."""

    exit_code = FAILED


class MissingPackagesError(StackError):
    """Servers are not installed and this user could not get them."""

    exit_code = MISSING
