"""The version of the SDK; the host has the same."""

__all__ = ["VERSION"]

VERSION = "0.1.0"
