"""Modules that are imported at their first use: psutil, and the parameter types with msgspec.

Together they cost more than the rest of the plugin's start, and a plugin that is only listed needs
neither. Handlers write `deferred.psutil` and `deferred.parameter.Limit`; an annotation is evaluated
at the first call, so naming a type in one imports nothing before.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    import psutil as psutil

    from . import parameter as parameter
else:

    def __getattr__(name: str) -> object:
        """Import the module called `name` and keep it, so that this runs once for each."""
        if name == "psutil":
            import psutil as module
        elif name == "parameter":
            from . import parameter as module
        else:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        globals()[name] = module
        return module
