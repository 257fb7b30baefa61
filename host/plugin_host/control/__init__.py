"""One running host for many clients: its control socket, and the clients of such a socket."""

from .client import ControlClient, connect, socket_path
from .descriptor import IoTicket, open_descriptors
from .server import ControlServer

__all__ = ["ControlClient", "ControlServer", "IoTicket", "connect", "open_descriptors", "socket_path"]
