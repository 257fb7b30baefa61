"""Command listeners: any program on the machine sends JSON to a local socket and is answered."""
