"""Handles of accounts as people write them."""

from __future__ import annotations


def bare_handle(written: str) -> str:
    """The handle without the @ before it and without space around it; its case stays."""
    return written.strip().removeprefix("@").strip()
