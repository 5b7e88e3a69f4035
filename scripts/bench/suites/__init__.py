"""The benches by name; each module has ``SUITES``: name -> coroutine that gives rows."""
