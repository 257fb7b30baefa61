"""The generated JSON schema, and that the file in the repository is it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from plugin_host import schema
from plugin_host.manifest import Manifest

FILE = Path(__file__).parents[2] / "plugin_manifest.schema.json"


def test_the_file_in_the_repository_is_the_generated_schema() -> None:
    assert FILE.read_text() == schema.schema_text(), (
        "the manifest's types changed; write the schema again with "
        "`plugin-host schema > plugin_manifest.schema.json`"
    )


@pytest.mark.parametrize("seed", ["1", "2"])
def test_the_text_does_not_depend_on_the_process(seed: str) -> None:
    code = "import sys; from plugin_host import schema; sys.stdout.write(schema.schema_text())"
    text = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONHASHSEED": seed},
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert text == schema.schema_text()


def test_the_schema_knows_every_key_and_no_other() -> None:
    definition = json.loads(schema.schema_text())["$defs"]["Manifest"]
    assert set(definition["properties"]) == set(Manifest.__struct_encode_fields__)
    assert definition["required"] == ["id", "version", "launch"]
    assert definition["additionalProperties"] is False


def test_every_part_refuses_unknown_keys_and_says_what_it_is() -> None:
    parts: dict[str, Any] = json.loads(schema.schema_text())["$defs"]
    assert set(parts) == {"Manifest", "Launch", "Restart", "Health", "Limits", "SandboxNeeds"}
    for part in parts.values():
        assert part["additionalProperties"] is False
        assert part["description"]


def test_the_rules_between_keys_are_in_it() -> None:
    parts = json.loads(schema.schema_text())["$defs"]
    launch, manifest = parts["Launch"], parts["Manifest"]
    assert [one["required"] for one in launch["oneOf"]] == [["entry_point"], ["argv"]]
    assert launch["not"]["required"] == ["interpreter", "venv"]
    assert launch["if"]["required"] == ["argv"]
    assert launch["then"]["properties"]["argv"] == {"prefixItems": [{"minLength": 1}]}
    assert launch["then"]["properties"]["venv"] == {"type": "null"}
    assert manifest["if"]["properties"] == {"protocol": {"const": "msgpack-rpc"}}
    assert manifest["then"]["properties"]["launch"]["required"] == ["argv"]
