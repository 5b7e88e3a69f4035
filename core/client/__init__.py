"""Media of other companies' CDNs, copied to the object store."""
