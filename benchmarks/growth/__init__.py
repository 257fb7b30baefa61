"""How costs grow: with plugins, with calls at once and with sessions. `python -m benchmarks growth`."""
