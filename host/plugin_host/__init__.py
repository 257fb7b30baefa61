"""Run plugins in processes of their own."""
