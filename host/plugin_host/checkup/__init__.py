"""A look at everything that a host depends on, each fault with what to do. Starts no plugin."""
