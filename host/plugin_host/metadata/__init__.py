"""What the host tells its plugins: a tree of values that they read and watch."""
