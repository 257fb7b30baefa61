"""The blocking runtime that serves a plugin's host over the descriptors it was given."""
