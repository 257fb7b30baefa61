"""The child of the gRPC peer, run as a script with the address to listen at."""

from __future__ import annotations

import importlib
import sys
from concurrent.futures import ThreadPoolExecutor
from typing import Any

_THREADS = 4


def main(address: str) -> None:
    """Echo until killed."""
    grpc: Any = importlib.import_module("grpc")
    echo = grpc.unary_unary_rpc_method_handler(lambda payload, context: payload)
    server = grpc.server(
        ThreadPoolExecutor(_THREADS), options=[("grpc.max_receive_message_length", 1 << 26)]
    )
    server.add_generic_rpc_handlers(
        (grpc.method_handlers_generic_handler("benchmark.Echo", {"Echo": echo}),)
    )
    server.add_insecure_port(address)
    server.start()
    server.wait_for_termination()


if __name__ == "__main__":
    main(sys.argv[1])
