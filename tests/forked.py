"""Hosts of forked plugins that tell what they find around them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import psutil
import pytest

from plugin_host import PluginHost
from plugin_host.configuration import Configuration, Warm
from tests.stage import stage, write_plugin

CODE = """
    import gc, os, random, resource, signal, subprocess, sys, time

    @plugin.command("facts")
    def facts(ctx):
        limits = sorted({getattr(resource, n) for n in dir(resource) if n.startswith("RLIMIT_")})
        with open("/proc/self/status") as lines:
            status = dict(line.rstrip("\\n").split(":", 1) for line in lines)
        fds = [f"/proc/self/fd/{fd}" for fd in os.listdir("/proc/self/fd")]
        kept = ("Name", "Umask", "Uid", "Gid", "SigBlk", "SigIgn", "SigCgt", "NoNewPrivs", "Threads")
        return {
            "environ": dict(sorted(os.environ.items())),
            "shown": open("/proc/self/environ").read().strip("\\0").split("\\0"),
            "argv": sys.argv, "orig_argv": sys.orig_argv, "path": sys.path, "flags": str(sys.flags),
            "executable": sys.executable, "cwd": os.getcwd(),
            "limits": [resource.getrlimit(limit) for limit in limits],
            "status": {name: status[name].strip() for name in kept},
            "handlers": [str(signal.getsignal(n)).partition(" at ")[0] for n in (1, 2, 12, 15, 13, 17)],
            "targets": sorted(os.readlink(fd).partition(":")[0] for fd in fds if os.path.lexists(fd)),
            "stdin": (sys.stdin.fileno(), sys.stdin.read(), sys.stdin.encoding),
            "stderr": (sys.stderr.fileno(), sys.stderr.encoding, sys.stderr.errors, sys.stderr.isatty()),
            "leads": os.getsid(0) == os.getpgid(0) == os.getpid(),
            "nice": os.nice(0), "zone": time.tzname, "main": sorted(sys.modules["__main__"].__dict__),
            "inheritable": [fd for fd in range(3, 64) if _is_inheritable(fd)],
        }

    def _is_inheritable(fd):
        try:
            return os.get_inheritable(fd)
        except OSError:
            return False

    @plugin.command("draw")
    def draw(ctx):
        return random.random(), os.getpid(), os.getppid()

    @plugin.command("garbage")
    def garbage(ctx):
        return gc.get_freeze_count(), gc.isenabled()

    @plugin.command("modules")
    def modules(ctx, names):
        return [name in sys.modules for name in names]

    @plugin.command("die")
    def die(ctx, number):
        bytearray(40 << 20)[:] = b"x" * (40 << 20)
        os.kill(os.getpid(), number)
        time.sleep(10)

    @plugin.command("leave")
    def leave(ctx, code):
        os._exit(code)

    @plugin.command("vanish")
    def vanish(ctx):
        # A daemon that was only forked, in a session of its own, with no parent of the plugin's.
        read, write = os.pipe()
        if os.fork() == 0:
            os.setsid()
            if os.fork() == 0:
                os.write(write, b"%d" % os.getpid())
                for fd in range(64):
                    try:
                        os.close(fd)
                    except OSError:
                        pass
                signal.signal(signal.SIGTERM, signal.SIG_IGN)
                time.sleep(600)
            os._exit(0)
        os.wait()
        return int(os.read(read, 20))
"""


def write_plugins(folder: Path) -> Path:
    """Plugins with these commands in a folder: `demo`, `other`, and `apart`, which is never forked."""
    for id in ("demo", "other"):
        write_plugin(folder, id, CODE)
    return write_plugin(folder, "apart", CODE, launch={"warm": False})


def host_of(*ids: str, folder: Path, launch: Any = "always", **configuration: Any) -> PluginHost:
    warm = Warm(launch=launch, imports=configuration.pop("imports", ()))
    return stage(*ids, dirs=[folder], config=Configuration(warm=warm, **configuration))


def forkserver_of(host: PluginHost) -> int:
    pid = host._forkserver.pid
    assert pid is not None
    return pid


def parent_of(host: PluginHost, plugin: str) -> int:
    pid = host.plugins[plugin].pid
    assert pid is not None
    return psutil.Process(pid).ppid()


@pytest.fixture(autouse=True)
def no_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PLUGIN_HOST_WARM", raising=False)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_plugins(tmp_path_factory.mktemp("plugins"))
