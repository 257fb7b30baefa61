"""Which network interfaces there are, their addresses, and what went through them."""

from __future__ import annotations

import plugin_host_sdk as sdk

from . import deferred

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

__all__ = ["network"]


def network(ctx: sdk.Context) -> dict[str, object]:
    """List the network interfaces with their addresses and their counters since boot.

    An address has a `family` of `ipv4`, `ipv6` or `link`. `speed_mbit` is null where the interface
    has none to tell. `total` sums the counters of all interfaces, the loopback among them.
    """
    psutil = deferred.psutil
    counters = psutil.net_io_counters(pernic=True)
    addresses = psutil.net_if_addrs()
    interfaces = {
        name: {
            "up": state.isup,
            "mtu_bytes": state.mtu,
            "speed_mbit": state.speed or None,
            "addresses": [_address(address) for address in addresses.get(name, [])],
            **_traffic(counters.get(name)),
        }
        for name, state in psutil.net_if_stats().items()
    }
    return {"interfaces": interfaces, "total": _traffic(psutil.net_io_counters())}


def _address(address: Any) -> dict[str, object]:
    return {
        "family": _families().get(address.family, str(int(address.family))),
        "address": address.address,
        "netmask": address.netmask,
        "broadcast": address.broadcast,
        "peer": address.ptp,
    }


def _families() -> dict[int, str]:
    import socket

    return {
        socket.AF_INET: "ipv4",
        socket.AF_INET6: "ipv6",
        deferred.psutil.AF_LINK: "link",
    }


def _traffic(count: Any) -> dict[str, object]:
    """The counters of one interface, or of all; nothing for an interface that has none."""
    if count is None:
        return {}
    return {
        "received_bytes": count.bytes_recv,
        "sent_bytes": count.bytes_sent,
        "received_packets": count.packets_recv,
        "sent_packets": count.packets_sent,
        "errors_in": count.errin,
        "errors_out": count.errout,
        "dropped_in": count.dropin,
        "dropped_out": count.dropout,
    }
