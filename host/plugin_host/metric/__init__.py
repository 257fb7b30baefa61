"""What a host counts: calls, sessions and what became of its plugins, as plain numbers.

Knows nothing of plugins and links: whoever does the work says so here, and `snapshot` is what comes out.
"""
