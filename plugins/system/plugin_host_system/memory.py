"""How much memory and swap there is, and how much of it is taken."""

from __future__ import annotations

import plugin_host_sdk as sdk

from . import deferred

__all__ = ["memory"]


def memory(ctx: sdk.Context) -> dict[str, object]:
    """Tell how much memory and swap is there, in bytes.

    `available_bytes` is what programs could get without swapping: it counts caches that can be given
    up, so it is more than `free_bytes`. `percent` is what is not available. `buffers_bytes` and
    `cached_bytes` are null where the system does not count them. `swap.in_bytes` and
    `swap.out_bytes` are sums since boot.
    """
    main = deferred.psutil.virtual_memory()
    swap = deferred.psutil.swap_memory()
    return {
        "total_bytes": main.total,
        "available_bytes": main.available,
        "used_bytes": main.used,
        "free_bytes": main.free,
        "buffers_bytes": getattr(main, "buffers", None),
        "cached_bytes": getattr(main, "cached", None),
        "percent": main.percent,
        "swap": {
            "total_bytes": swap.total,
            "used_bytes": swap.used,
            "free_bytes": swap.free,
            "percent": swap.percent,
            "in_bytes": swap.sin,
            "out_bytes": swap.sout,
        },
    }
