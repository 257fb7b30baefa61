"""The project's tests, and in this folder's top level the harness they run under."""
