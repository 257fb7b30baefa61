"""`plugin-host task`: work for plugins of the running host, from outside: seen, entered, ended."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import click

from plugin_host.notation import to_json

from . import output, taskrun, variable
from .attach import detach_keys_option
from .option import Options, client_options
from .programcommand import ProgramCommand
from .wordcompletion import program_words, running_words, task_words

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from plugin_host.control import ControlClient
    from plugin_host.control.remotetask import RemoteTask

    from .forwarding import Forwarder

__all__ = ["command"]

_HELP = """Give plugins work, and look after it.

A task is something that a plugin is to run: a command with its environment. The host keeps its log and its
result, and its files and shells beside it can be had, until it is closed. TASK is an id, or the beginning
of one. All but `run` need a running host.
"""

_task = click.argument("task", shell_complete=task_words)
_tasks = click.argument("tasks", metavar="TASK...", nargs=-1, required=True, shell_complete=task_words)


@click.group("task", help=_HELP)
def command() -> None:
    pass


command.add_command(taskrun.command)


@command.command("list", short_help="Show the tasks of the running host.")
@click.argument("plugin", required=False, shell_complete=running_words)
@client_options
def _list(options: Options, plugin: str | None) -> None:
    """Show the tasks of the running host, or of one of its plugins.

    One that has ended is shown until it is closed. The owner is the client that gave it and is still there.
    --json has whole ids.
    """
    with options.reported():
        from .contact import visit
        from .tasklist import task_map, tasks_text

        found = visit(options, "task list", lambda client: _tasks_of(client, plugin))
        if options.as_json:
            output.write_json([task_map(one) for one in found])
        else:
            output.write(tasks_text(found))


async def _tasks_of(client: ControlClient, plugin: str | None) -> list[RemoteTask]:
    """Raises PluginNotFound."""
    found = await client.tasks.list(plugin)
    if plugin is not None and not found:
        await client.sessions(plugin)  # which tells of a name that is none
    return found


@command.command("log", short_help="Print the log of a task.")
@_task
@click.option("-f", "--follow", is_flag=True, help="Go on until the task has ended.")
@click.option("--offset", metavar="N", type=click.IntRange(0), help="Begin at this byte of the log.")
@client_options
def _log(options: Options, task: str, follow: bool, offset: int | None) -> None:
    """Print what is kept of the log of TASK, its newest 1,000,000 bytes and more where somebody reads.

    The task does not wait for this; what was missed is counted on stderr.
    """
    with options.reported():
        from .contact import visit

        async def show(client: ControlClient) -> None:
            from .logrelay import relay
            from .tasklist import find_task

            found = await find_task(client, task)
            async with found.log(offset, follow=follow) as log:
                await relay(log)
            if missed := log.missed + (log.evicted if offset is not None else 0):
                output.complain(f"plugin-host: {missed} bytes were not shown: they are kept no longer\n")

        visit(options, "task log", show)


@command.command("shell", cls=ProgramCommand, short_help="Open a shell beside a task.")
@_task
@click.argument(
    "command", metavar="[--] [COMMAND...]", nargs=-1, type=click.UNPROCESSED, shell_complete=program_words
)
@click.option("--no-tty", is_flag=True, help="Run it on pipes, with stderr apart.")
@click.option("-e", "--env", metavar="K[=V]", multiple=True, help="Set a variable, or pass on your own.")
@click.option("-w", "--cwd", metavar="DIR", help="Where it starts.")
@detach_keys_option
@client_options
def _shell(
    options: Options,
    task: str,
    command: tuple[str, ...],
    no_tty: bool,
    env: tuple[str, ...],
    cwd: str | None,
    detach_keys: bytes,
) -> None:
    """Open a shell beside TASK, or run COMMAND there, as plugin-host exec -it does in a plugin.

    It has what the task has: its files, its user. It has a terminal of the size of yours, and your keys go
    to it as they are. With --no-tty stdin is passed on to its end. It ends with the task's close.
    The status is the program's own, or 125 for what failed here.
    """
    with options.reported(runs_program=True):
        for where, word in (("--cwd", cwd or ""), *(("COMMAND", word) for word in command)):
            variable.check_text(where, word)
        variables = variable.variables(env if no_tty else ("TERM", *env), os.environ)

        from . import forwarding
        from .taskshell import Shell, sit

        shell = Shell(
            task=task, command=command, tty=not no_tty, cwd=cwd, env=variables, detach_keys=detach_keys
        )

        async def seated(forwarder: Forwarder) -> int:
            return await sit(forwarder, options, shell)

        raise click.exceptions.Exit(forwarding.run(seated))


@command.command("ls", short_help="List a folder of a task.")
@_task
@click.argument("path")
@click.option("-R", "--recursive", is_flag=True, help="And all that is below it; links are not followed.")
@client_options
def _ls(options: Options, task: str, path: str, recursive: bool) -> None:
    """List what is in the folder at the absolute PATH of TASK."""
    with options.reported():
        from .contact import visit
        from .folderlist import entries_text, entry_map

        async def look(client: ControlClient) -> Any:
            from .tasklist import find_task

            return await (await find_task(client, task)).list_folder(path, recursive)

        entries = visit(options, "task ls", look)
        if options.as_json:
            lines = (to_json(entry_map(one), ascii_only=output.needs_ascii()) for one in entries)
            output.write("[" + ",\n ".join(lines) + "]\n")
        else:
            output.write(entries_text(entries))


@command.command("artifact", short_help="Bring a file of a task here.")
@_task
@click.argument("path")
@click.argument("dest")
@client_options
def _artifact(options: Options, task: str, path: str, dest: str) -> None:
    """Bring the file at the absolute PATH of TASK to DEST: a file, a folder, or `-` for stdout.

    It is written beside its place, held against the SHA-256 of what was sent, and then renamed, so DEST is
    whole or as it was.
    """
    with options.reported():
        from .contact import visit

        async def bring(client: ControlClient) -> dict[str, Any]:
            from .fetching import Wish, fetch
            from .tasklist import find_task

            return await fetch(await find_task(client, task), Wish(path, dest), options.verbosity)

        brought = visit(options, "task artifact", bring)
        if options.as_json and dest != "-":
            output.write_json(brought)


@command.command("kill", short_help="End what tasks run.")
@_tasks
@click.option(
    "--grace",
    metavar="SECONDS",
    type=click.FloatRange(0, 3600),
    default=5.0,
    show_default=True,
    help="How long a program may take to end by itself.",
)
@client_options
def _kill(options: Options, tasks: tuple[str, ...], grace: float) -> None:
    """End all that each TASK runs. A kill is remembered by one that has not started. Its log, files and
    shells stay until it is closed."""

    async def kill(task: RemoteTask) -> dict[str, str]:
        return {"task": task.id, "plugin": task.plugin, "state": await task.kill(grace)}

    _each(options, "task kill", tasks, kill)


@command.command("close", short_help="End tasks and forget them.")
@_tasks
@client_options
def _close(options: Options, tasks: tuple[str, ...]) -> None:
    """End each TASK, if it has not, with its shells, and forget its log and result."""

    async def close(task: RemoteTask) -> dict[str, str]:
        await task.close()
        return {"task": task.id, "plugin": task.plugin}

    _each(options, "task close", tasks, close)


def _each(
    options: Options,
    name: str,
    tasks: tuple[str, ...],
    act: Callable[[RemoteTask], Awaitable[dict[str, str]]],
) -> None:
    with options.reported():
        from .contact import visit
        from .outcome import outcomes, report

        async def do(client: ControlClient) -> list[Any]:
            from .tasklist import find_task

            async def one(task: str) -> dict[str, str]:
                return await act(await find_task(client, task))

            return await outcomes(tasks, one)

        report(options, tasks, visit(options, name, do), lambda done: done["task"])
