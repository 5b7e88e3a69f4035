"""Provider sandbox: answers for every provider host from one deterministic, made-up universe of creators."""
