"""`python -m plugin_host_sdk [--no-new-privs] [--path FOLDER]... MODULE:ATTRIBUTE`: how a host starts a
Python plugin."""

from __future__ import annotations

import gc
import sys

from .runtime.serve import EX_USAGE, leave, open_wire, serve

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .plugin import Plugin

__all__ = ["main"]


def main(argv: list[str] | None = None) -> None:
    """Load the plugin that `MODULE:ATTRIBUTE` names and serve it; never returns."""
    # What is imported stays: looking through it for garbage again and again only takes time.
    gc.disable()
    arguments = sys.argv[1:] if argv is None else argv
    wiring = open_wire()
    try:
        plugin = _load(arguments)
    except SystemExit as error:
        leave(_status_of(error))
    except BaseException:
        import traceback

        traceback.print_exc()
        leave(1)
    else:
        gc.enable()
        leave(serve(plugin, wiring))


def _status_of(error: SystemExit) -> int:
    """What the interpreter makes of it: a number is the status, a text is the reason to fail."""
    if error.code is None or isinstance(error.code, int):
        return error.code or 0
    sys.stderr.write(f"{error.code}\n")
    return 1


def _load(arguments: list[str]) -> Plugin:
    if arguments[:1] == ["--no-new-privs"]:
        from .runtime.privilege import give_up_new_privileges

        give_up_new_privileges()
        arguments = arguments[1:]
    while len(arguments) > 2 and arguments[0] == "--path":
        sys.path.append(arguments[1])
        arguments = arguments[2:]
    if len(arguments) != 1:
        sys.stderr.write(
            "usage: python -m plugin_host_sdk [--no-new-privs] [--path FOLDER]... MODULE:ATTRIBUTE\n"
        )
        raise SystemExit(EX_USAGE)
    sys.argv = [arguments[0]]
    module_name, _, attribute = arguments[0].partition(":")
    __import__(module_name)
    target: object = sys.modules[module_name]
    for name in (attribute or "plugin").split("."):
        target = getattr(target, name)
    from .plugin import Plugin

    if not isinstance(target, Plugin):
        raise TypeError(
            f"{arguments[0]} is {type(target).__name__!r}, not a plugin_host_sdk.Plugin: "
            "name the object that Plugin(...) gave"
        )
    return target


if __name__ == "__main__":
    main()
