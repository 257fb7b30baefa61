"""Tasks for programs elsewhere, as in a virtual machine, that fetch them over HTTP: `docs/guests.md`."""

try:
    import starlette  # noqa: F401
    import uvicorn  # noqa: F401
    import websockets  # noqa: F401
except ImportError as error:
    raise ImportError(f"plugin_host.guest needs `pip install 'plugin-host[http]'`: {error}") from None

from .server import GuestServer
from .times import GuestTimes

__all__ = ["GuestServer", "GuestTimes"]
