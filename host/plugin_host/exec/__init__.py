"""Exec sessions on the host's side: terminals and pipes that run in plugins."""
