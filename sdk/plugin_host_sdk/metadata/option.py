"""What an author declares about tasks: the functions that run them, and where the defaults look and work.

Declared at import, so these are plain slotted classes that load nothing.
"""

from __future__ import annotations

from plugin_host_sdk.errors import RegistrationError, excerpt

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import Any

    Configured = Callable[[Mapping[str, Any]], "Surroundings"]

__all__ = ["MOST_AT_ONCE", "PluginOpts", "Surroundings", "check_at_once"]

MOST_AT_ONCE = 256


class Surroundings:
    """Where a worker runs things and what it shows.

    `roots`: absolute folders; artifacts and listings outside of them are refused, None refuses nothing.
    `shell`: what runs when a shell is asked for without a command. `env` is added to the plugin's
    environment. `user`, a name or a number, is whom programs run as. `workdir` is where they start; None
    is the plugin's folder, or the home of `user`. Raises RegistrationError.
    """

    __slots__ = ("env", "roots", "shell", "user", "workdir")

    def __init__(
        self,
        *,
        roots: Sequence[str] | None = None,
        shell: Sequence[str] = ("sh",),
        env: Mapping[str, str] | None = None,
        user: str | int | None = None,
        workdir: str | None = None,
    ) -> None:
        self.roots = None if roots is None else _folders(roots)
        self.shell = _words("shell", shell)
        self.env = dict(env or {})
        self.user = user
        self.workdir = None if workdir is None else _absolute("workdir", workdir)
        if not self.shell:
            raise RegistrationError("shell is a program and its arguments, and cannot be empty")

    def __repr__(self) -> str:
        return (
            f"Surroundings(roots={self.roots}, shell={self.shell}, env={sorted(self.env)}, "
            f"user={self.user!r}, workdir={self.workdir!r})"
        )


class PluginOpts:
    """What to register; every part may be left out.

    `on_task(ctx, task)` is called for each task, `at_once` of them side by side; what it returns is the
    result: None or True success, False failure, an int an exit code, what `task.run` returned that.
    `run(ctx)` is called once, when the host can be asked, by authors who ask for tasks themselves.

    The others take the place of a default. `get_artifact(ctx, task, path)` gives bytes, a path or a
    binary file; `list_folder(ctx, task, path, recursive)` a list of paths or of `FolderEntry`;
    `exec_shell(ctx, task, opts)` what a session handler gives; `kill_process(ctx, task, grace)` ends the
    task within that many seconds. All may be plain or async.

    `roots`, `shell`, `env`, `user` and `workdir` are those of `Surroundings`. `surroundings(settings)`
    gives them where an operator's settings decide; `at_once` may be such a function, too.
    """

    __slots__ = (
        "_surroundings",
        "at_once",
        "exec_shell",
        "get_artifact",
        "kill_process",
        "list_folder",
        "on_task",
        "run",
    )

    def __init__(
        self,
        run: Callable[..., Any] | None = None,
        on_task: Callable[..., Any] | None = None,
        at_once: int | Callable[[Mapping[str, Any]], int] = 1,
        get_artifact: Callable[..., Any] | None = None,
        list_folder: Callable[..., Any] | None = None,
        exec_shell: Callable[..., Any] | None = None,
        kill_process: Callable[..., Any] | None = None,
        roots: Sequence[str] | None = None,
        shell: Sequence[str] = ("sh",),
        env: Mapping[str, str] | None = None,
        user: str | int | None = None,
        workdir: str | None = None,
        surroundings: Configured | None = None,
    ) -> None:
        functions = {
            "run": run,
            "on_task": on_task,
            "get_artifact": get_artifact,
            "list_folder": list_folder,
            "exec_shell": exec_shell,
            "kill_process": kill_process,
            "surroundings": surroundings,
        }
        for name, function in functions.items():
            if function is not None and not callable(function):
                raise RegistrationError(f"{name} of metadata cannot be called: {function!r}")
        fixed = Surroundings(roots=roots, shell=shell, env=env, user=user, workdir=workdir)
        self.run = run
        self.on_task = on_task
        self.at_once = at_once if callable(at_once) else check_at_once(at_once)
        self.get_artifact = get_artifact
        self.list_folder = list_folder
        self.exec_shell = exec_shell
        self.kill_process = kill_process
        self._surroundings: Configured = surroundings or (lambda settings: fixed)

    def surroundings(self, settings: Mapping[str, Any]) -> Surroundings:
        """Those that hold under these settings."""
        return self._surroundings(settings)

    def width(self, settings: Mapping[str, Any]) -> int:
        """How many tasks run side by side under these settings. Raises RegistrationError."""
        at_once = self.at_once
        return check_at_once(at_once(settings)) if callable(at_once) else at_once


def check_at_once(value: object) -> int:
    """A number of tasks side by side. Raises RegistrationError."""
    if type(value) is not int or not 1 <= value <= MOST_AT_ONCE:
        raise RegistrationError(f"at_once is 1 to {MOST_AT_ONCE} tasks, not {excerpt(value)}")
    return value


def _folders(roots: Sequence[str]) -> tuple[str, ...]:
    if isinstance(roots, str):
        raise RegistrationError(f"roots is a list of folders, not the text {roots!r}")
    return tuple(_absolute("roots", root) for root in roots)


def _absolute(what: str, folder: object) -> str:
    if not isinstance(folder, str) or not folder.startswith("/") or "\0" in folder:
        raise RegistrationError(f"{what}: {excerpt(folder)} is no absolute path")
    return folder


def _words(what: str, words: Sequence[str]) -> tuple[str, ...]:
    if isinstance(words, str) or not all(isinstance(word, str) for word in words):
        raise RegistrationError(f"{what} is a list of texts, not {excerpt(words)}")
    return tuple(words)
