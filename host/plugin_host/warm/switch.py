"""When a host forks its plugins: what the operator wrote, and the environment over it.

Pure. Invariant: a word that is not known is an error, never a guess.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from plugin_host.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["VARIABLE", "Switch", "switch"]

VARIABLE = "PLUGIN_HOST_WARM"

Switch = Literal["auto", "always", "never"]
"""`auto`: from the third launch of a host on. `always`: from the first on."""

_WORDS: dict[str, Switch] = {
    "0": "never",
    "1": "always",
    "auto": "auto",
    "always": "always",
    "never": "never",
}


def switch(configured: Switch, environ: Mapping[str, str]) -> Switch:
    """PLUGIN_HOST_WARM where it is set, else what is configured. Raises ConfigurationError."""
    word = environ.get(VARIABLE)
    if not word:
        return configured
    if word not in _WORDS:
        known = ", ".join(_WORDS)
        raise ConfigurationError(f"{VARIABLE}: expected one of {known}, found {word!r}")
    return _WORDS[word]
