"""The process that ends what a host leaves behind when it is killed, and the host's side of it."""
