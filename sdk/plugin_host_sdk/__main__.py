"""`python -m plugin_host_sdk [OPTION]... MODULE:ATTRIBUTE`: how a host starts a Python plugin.

What the options ask for is done before any author code is imported, in the order of the command line.
First come those of `runtime.shim`, which say what is laid on this process.
"""

from __future__ import annotations

import _signal  # type: ignore[import-not-found]  # of C, and loaded by the interpreter itself
import gc
import sys

from .runtime.dump import dump_crashes, dump_on_signal
from .runtime.serve import EX_USAGE, leave, open_wire, serve

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from .plugin import Plugin
    from .runtime.wiring import Wiring

__all__ = ["main"]

_OPTIONS: dict[str, Callable[[str], object]] = {
    "--path": lambda folder: sys.path.append(folder),
    "--stacks-fd": lambda number: dump_on_signal(int(number)),
}
"""What each option does with its value."""
_RESTRAINTS = ("--limit", "--umask", "--no-new-privs", "--gate")


def main(argv: list[str] | None = None) -> None:
    """Load the plugin that `MODULE:ATTRIBUTE` names and serve it; never returns."""
    # What is imported stays: looking through it for garbage again and again only takes time.
    gc.disable()
    arguments = sys.argv[1:] if argv is None else argv
    if arguments and arguments[0] in _RESTRAINTS:
        arguments = _restrain(arguments)
    wiring = open_wire()
    dump_crashes()
    _heed_children()
    try:
        plugin = _load(_obey(arguments))
    except SystemExit as error:
        leave(_status_of(error))
    except BaseException:
        import traceback

        traceback.print_exc()
        leave(1)
    else:
        gc.enable()
        leave(_serve(plugin, wiring))


def _heed_children() -> None:
    """What a host ignores, its plugins do, and with SIGCHLD ignored nobody learns how a program ended."""
    if _signal.getsignal(_signal.SIGCHLD) == _signal.SIG_IGN:
        _signal.signal(_signal.SIGCHLD, _signal.SIG_DFL)


def _serve(plugin: Plugin, wiring: Wiring) -> int:
    """The exit status. A fault of the runtime ends the process like any other, and no thread holds it."""
    try:
        return serve(plugin, wiring)
    except Exception:
        import traceback

        traceback.print_exc()
        return 1


def _restrain(arguments: list[str]) -> list[str]:
    """Do what the options at the beginning ask for; the rest."""
    from .runtime.shim import Refused, restrain, split

    try:
        options, rest = split(arguments)
        restrain(options)
    except Refused as error:
        sys.stderr.write(f"this plugin cannot be started with {error}\n")
        leave(EX_USAGE)
    return rest


def _status_of(error: SystemExit) -> int:
    """What the interpreter makes of it: a number is the status, a text is the reason to fail."""
    if error.code is None or isinstance(error.code, int):
        return error.code or 0
    sys.stderr.write(f"{error.code}\n")
    return 1


def _obey(arguments: list[str]) -> str:
    """Do what the options say; the argument that names the plugin."""
    while len(arguments) > 2 and arguments[0] in _OPTIONS:
        _OPTIONS[arguments[0]](arguments[1])
        arguments = arguments[2:]
    if len(arguments) != 1:
        sys.stderr.write("usage: python -m plugin_host_sdk [OPTION]... MODULE:ATTRIBUTE\n")
        raise SystemExit(EX_USAGE)
    return arguments[0]


def _load(named: str) -> Plugin:
    sys.argv = [named]
    module_name, _, attribute = named.partition(":")
    __import__(module_name)
    target: object = sys.modules[module_name]
    place = getattr(target, "__file__", None) or "the interpreter itself"
    for name in (attribute or "plugin").split("."):
        try:
            target = getattr(target, name)
        except AttributeError as error:  # perhaps of another module, whose name is the same
            raise AttributeError(f"{error}; {module_name} was imported from {place}") from None
    from .plugin import Plugin

    if not isinstance(target, Plugin):
        raise TypeError(
            f"{named} is {type(target).__name__!r}, not a plugin_host_sdk.Plugin: "
            "name the object that Plugin(...) gave"
        )
    return target


if __name__ == "__main__":
    main()
