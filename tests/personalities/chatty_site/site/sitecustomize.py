"""Prints before the plugin's first line: the wire is still standard output."""

print("sitecustomize says hello")
print("sitecustomize cannot wait", flush=True)
print("sitecustomize waits for its buffer to be written")
