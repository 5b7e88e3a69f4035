"""The operator's tool: ``python -m scripts.beatctl NOUN VERB``."""
