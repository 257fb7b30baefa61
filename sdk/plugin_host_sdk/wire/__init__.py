"""Bytes to messages and back: the one package that knows msgpack.

A message is a list of builtins; a frame of `stream.data` is a tuple, see `frame`. `Decoder` enforces the
limits on what arrives before memory is spent on it; `Encoder` turns a message into bytes and says where a
value is that cannot travel. Neither knows what a message means.
"""

from __future__ import annotations

from msgpack import ExtType, Timestamp

from .decoder import Decoder, unpack
from .encoder import ATOMS, Encoder

__all__ = ["ATOMS", "Decoder", "Encoder", "ExtType", "Timestamp", "unpack"]
