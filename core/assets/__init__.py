"""Copies of media: who looks after which row, object and refresh."""
