"""The JSON schema of the manifest, generated from its types.

Owns the generation and the exact text of `plugin_manifest.schema.json`. Invariant: the text depends
on the types alone, so a difference between it and the file in the repository is drift.
"""

from __future__ import annotations

import inspect
from typing import Any

import msgspec

from .manifest import Manifest

__all__ = ["schema", "schema_text"]


def schema() -> dict[str, Any]:
    """The schema as builtins, JSON Schema draft 2020-12."""
    generated = msgspec.json.schema(Manifest)
    for definition in generated["$defs"].values():
        # Newer compilers take the indent out of docstrings and older ones leave it in.
        definition["description"] = inspect.cleandoc(definition["description"])
    # Rules between fields live in `__post_init__`, where msgspec cannot see them.
    generated["$defs"]["Launch"].update(_rules_of_launch())
    generated["$defs"]["Manifest"].update(_rules_of_manifest())
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "plugin_manifest.json",
        **generated,
    }


def schema_text() -> str:
    """The schema as the file holds it: JSON, indented by two, ended by a newline."""
    return msgspec.json.format(msgspec.json.encode(schema()), indent=2).decode() + "\n"


def _rules_of_launch() -> dict[str, Any]:
    absent = {"type": "null"}
    program = {"prefixItems": [{"minLength": 1}]}
    return {
        "oneOf": [_given("entry_point"), _given("argv")],
        "not": _given("interpreter", "venv"),
        "if": _given("argv"),
        "then": {"properties": {"argv": program, "interpreter": absent, "venv": absent}},
    }


def _rules_of_manifest() -> dict[str, Any]:
    return {
        "if": {"required": ["protocol"], "properties": {"protocol": {"const": "msgpack-rpc"}}},
        "then": {"properties": {"launch": _given("argv")}},
    }


def _given(*keys: str) -> dict[str, Any]:
    """That all of `keys` are present and not null."""
    return {
        "required": list(keys),
        "properties": {key: {"not": {"type": "null"}} for key in keys},
    }
