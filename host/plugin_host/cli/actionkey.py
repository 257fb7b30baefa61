"""`plugin-host action change-key` and `register`: the keys by which a machine is known.

Keys are read from files, never from the command line. Invariant: up to the last step of a change the old
key is valid, whatever fails; a change that fails before is taken back.
"""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from plugin_host.errors import ActionFailed, PluginHostError

from . import output
from .actionreach import Reached, reach
from .failure import ReadFailed, standard_input
from .option import Options, host_options, reach_options
from .wordcompletion import plugin_words

if TYPE_CHECKING:
    from plugin_host_sdk.types.action import KeyResult, Properties, RegisterResult

__all__ = ["change_key", "register"]

_LONGEST = 512

_CHANGE = """Give PLUGIN a new key: the text in FILE, or on stdin (-), of 16 bytes to 512 characters.

It goes in steps: the new key is offered, proved to have arrived whole, and only then the old one is
dropped. Whatever fails before that, the old key is valid.
"""

_REGISTER = """Introduce a machine to PLUGIN by a registration key: the text in FILE, or on stdin (-).

The answer is the new key of the machine, and what its first-run scripts came to. The key is printed, or
written to the new file --save, which only you can read. --property stands in the place of what the plugin
finds out of its machine itself: hostname, kernel_name, kernel_version, distribution_name,
distribution_version.
"""


@click.command("change-key", help=_CHANGE)
@click.argument("plugin", shell_complete=plugin_words)
@click.argument("file", type=click.Path(allow_dash=True))
@host_options
@reach_options
def change_key(options: Options, plugin: str, file: str) -> None:
    with options.reported():
        import msgspec

        from . import interruption

        result = interruption.run(_change(options, plugin, _key(file)))
        if options.as_json:
            output.write_json(msgspec.to_builtins(result))
        else:
            fingerprint = f" (fingerprint {result.fingerprint})" if result.fingerprint else ""
            output.write(output.printable(f"the key was changed{fingerprint}") + "\n")


async def _change(options: Options, plugin: str, key: str) -> KeyResult:
    from plugin_host_sdk.types.action import UpdateKey, key_fingerprint, key_proof

    offered: KeyResult | None = None
    async with reach(options, plugin) as actions:
        try:
            offered = await _step(actions, plugin, UpdateKey(phase="offer", key=key))
            proof = key_proof(key, offered.nonce)
            proved = await _step(actions, plugin, UpdateKey(phase="prove", proof=proof))
        except BaseException as error:
            # A refused offer has left what was offered before; who was interrupted does not know.
            if offered is not None or not isinstance(error, PluginHostError):
                # That of the key which was given here: somebody else may have offered another since.
                mine = key_fingerprint(key) if offered is None else offered.fingerprint or None
                with suppress(PluginHostError):
                    await _step(actions, plugin, UpdateKey(phase="withdraw", fingerprint=mine))
            raise
        try:
            dropped = await _step(actions, plugin, UpdateKey(phase="drop"))
        except PluginHostError as error:
            text = f"the new key is valid, and so is the old one, which could not be dropped: {error}"
            raise ActionFailed(text) from None
    prints = [one.fingerprint for one in (proved, dropped) if one.fingerprint]
    if len({*prints}) > 1:
        text = f"another change came between: the key with the fingerprint {dropped.fingerprint} is valid"
        raise ActionFailed(f"{text}, and the one that was given here is not")
    return dropped if dropped.fingerprint else proved


async def _step(actions: Reached, plugin: str, request: Any) -> KeyResult:
    result: KeyResult = await (await actions.trigger(plugin, request)).result()
    return result


@click.command("register", help=_REGISTER)
@click.argument("plugin", shell_complete=plugin_words)
@click.argument("file", type=click.Path(allow_dash=True))
@click.option("properties", "--property", metavar="K=V", multiple=True, help="Repeatable.")
@click.option("--save", metavar="FILE", type=click.Path(), help="Write the new key there.")
@host_options
@reach_options
def register(
    options: Options, plugin: str, file: str, properties: tuple[str, ...], save: str | None
) -> None:
    with options.reported():
        from plugin_host_sdk.types.action import Register

        from . import interruption

        request = Register(key=_key(file), properties=_properties(properties))
        target = None if save is None else _created(save)
        try:
            interruption.run(_register(options, plugin, request, target))
        except BaseException:
            if save is not None and target is not None and os.fstat(target).st_size == 0:
                os.unlink(save)  # no key came
            raise
        finally:
            if target is not None:
                os.close(target)


async def _register(options: Options, plugin: str, request: Any, target: int | None) -> None:
    """The key is kept, by whoever reads it, before the plugin is told so; up to then the old one holds."""
    from plugin_host_sdk.types.action import UpdateKey, key_proof

    async with reach(options, plugin) as actions:
        result = await (await actions.trigger(plugin, request)).result()
        _show(options, result, target)
        if result.nonce:
            proof = key_proof(result.key, result.nonce)
            await _step(actions, plugin, UpdateKey(phase="prove", proof=proof))
            await _step(actions, plugin, UpdateKey(phase="drop"))


def _show(options: Options, result: RegisterResult, target: int | None) -> None:
    import msgspec

    plain = msgspec.to_builtins(result, builtin_types=(bytes,))
    del plain["nonce"]
    if target is not None:
        os.write(target, f"{result.key}\n".encode())
        os.fsync(target)
        del plain["key"]
    if options.as_json:
        output.write_json(plain)
        return
    lines = [] if target is not None else [f"key: {result.key}"]
    for report in result.scripts:
        how = "" if report.ran else "ran before: "
        lines.append(f"first-run script {report.name}: {how}{report.result}")
    output.write("".join(f"{output.printable(line)}\n" for line in lines))


def _created(save: str) -> int:
    """A new file that only its owner can read. Raises UsageError."""
    try:
        return os.open(save, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    except OSError as error:
        raise click.UsageError(f"--save {save}: {error.strerror}") from None


def _properties(words: tuple[str, ...]) -> Properties | None:
    from plugin_host_sdk.types.action import Properties

    if not words:
        return None
    given = {}
    for word in words:
        name, equals, value = word.partition("=")
        if not equals or name not in Properties.__struct_fields__:
            known = ", ".join(Properties.__struct_fields__)
            raise click.UsageError(f"--property {word}: expected NAME=VALUE, where NAME is one of {known}")
        given[name] = value
    return Properties(**given)


def _key(file: str) -> str:
    """The text in a file, without the end of its line. Raises ReadFailed, UsageError."""
    try:
        data = standard_input().read() if file == "-" else Path(file).read_bytes()
    except OSError as error:
        raise ReadFailed(f"cannot read {file}: {error.strerror}") from None
    try:
        key = data.decode().rstrip("\r\n")
    except UnicodeDecodeError:
        raise click.UsageError(f"{file}: a key is text") from None
    if not key:
        raise click.UsageError(f"{file}: there is no key in it")
    if len(key) > _LONGEST:
        raise click.UsageError(f"{file}: a key has {_LONGEST} characters at most, not {len(key)}")
    return key
