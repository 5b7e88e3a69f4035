"""Operators' and developers' commands."""
