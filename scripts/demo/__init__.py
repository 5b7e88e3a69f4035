"""The demo: Beat's own programs against the provider simulator, and an independent check of what they collected."""
