"""Settings held against the schema of a manifest, in a process of its own and within limits."""
