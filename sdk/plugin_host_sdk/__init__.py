"""Write plugins for plugin-host."""
