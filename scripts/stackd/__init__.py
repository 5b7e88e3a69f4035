"""Private servers of one checkout (standard library only: it runs before the virtual environment exists)."""
