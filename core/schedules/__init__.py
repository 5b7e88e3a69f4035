"""Tasks that are queued by the clock: what table scrape_schedule says, run by one supervisor at a time."""
