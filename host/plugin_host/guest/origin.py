"""Whether a request comes from a web page, which no guest is.

Pure. A page that a user of this machine has open can send requests to a port of it, and a name that its
owner points here lets it read the answers. Invariant: neither gets through, whatever the page does.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Collection, Mapping

__all__ = ["objection"]


def objection(
    headers: Mapping[str, str], *, origins: Collection[str] = (), names: Collection[str] | None = None
) -> str:
    """Why a request is not served, empty when it is.

    `origins` are those whose pages may ask after all. `names` are those that the host has besides its
    addresses and "localhost"; None where a name cannot lead anybody here, as to a unix socket.
    """
    origin = headers.get("origin")
    if origin is not None and origin not in origins:
        return f"the pages of {origin} may not ask here"
    if origin is None and headers.get("sec-fetch-site", "none") not in ("none", "same-origin"):
        return "pages of other sites may not ask here"
    if names is not None and not _is_address(host := _host(headers.get("host", ""))) and host not in names:
        return f"{host or 'a host without a name'} is not served here"
    return ""


def _host(given: str) -> str:
    """A Host header without its port."""
    if given.startswith("["):
        return given[1:].partition("]")[0]
    return given.partition(":")[0].lower()


def _is_address(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
