"""Tasks: work that the host gives and a worker, a plugin mostly, does and answers for."""
