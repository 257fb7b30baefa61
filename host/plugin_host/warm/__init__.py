"""Plugins of the host's own interpreter started by a fork of one that has everything loaded."""
