"""Notices when sources change the shape of their answers: what the parsers read, and what is new."""
