"""Media: the files behind the addresses that providers name."""
