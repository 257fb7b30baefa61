"""What travels, as msgspec types: loaded by a host at once and by a plugin at its first need of them."""
