"""Peer: HashiCorp's go-plugin over gRPC, with Go on both sides; built here from Debian's packages.

The program lies in `goplugin/` and is its own driver. What was built is kept in the user's cache
folder under a name that its source decides.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
from pathlib import Path

__all__ = ["command", "missing", "version"]

_SOURCE = Path(__file__).with_name("goplugin")
_GOPATH = Path("/usr/share/gocode")
_PACKAGES = "golang-go golang-github-hashicorp-go-plugin-dev golang-google-grpc-dev"


def missing() -> str | None:
    """Why it cannot take part; None when it can."""
    if shutil.which("go") is None:
        return f"no Go here (Debian: apt-get install {_PACKAGES})"
    if not (_GOPATH / "src/github.com/hashicorp/go-plugin").is_dir():
        return f"no go-plugin in {_GOPATH} (Debian: apt-get install {_PACKAGES})"
    return None


def version() -> str | None:
    """The version of Debian's package and of Go; None when it cannot take part."""
    if missing() is not None or shutil.which("dpkg-query") is None:
        return None
    package = ["dpkg-query", "-W", "-f", "${Version}", "golang-github-hashicorp-go-plugin-dev"]
    built = subprocess.run(package, capture_output=True, text=True, check=False).stdout
    go = subprocess.run(["go", "env", "GOVERSION"], capture_output=True, text=True, check=False).stdout
    return f"{built.strip()} with {go.strip()}"


def command() -> list[str]:
    """The command line of its driver, built first if need be. Raises RuntimeError when that fails."""
    program = _cache() / f"goplugin-{_fingerprint()}"
    if not program.exists():
        _build(program)
    return [str(program)]


def _cache() -> Path:
    home = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    return Path(home, "plugin-host-benchmarks")


def _fingerprint() -> str:
    text = b"\0".join(path.read_bytes() for path in sorted(_SOURCE.glob("*.go")))
    return hashlib.sha256(text).hexdigest()[:16]


def _build(program: Path) -> None:
    program.parent.mkdir(parents=True, exist_ok=True)
    fresh = program.with_suffix(f".{os.getpid()}")
    # Debian ships Go libraries as a GOPATH tree, without modules.
    settings = {"GO111MODULE": "off", "GOPATH": str(_GOPATH), "GOFLAGS": ""}
    built = subprocess.run(
        ["go", "build", "-o", str(fresh), "."],
        cwd=_SOURCE,
        env=os.environ | settings,
        capture_output=True,
        text=True,
    )
    if built.returncode:
        raise RuntimeError(f"go build failed in {_SOURCE}:\n{built.stderr.strip()[-2000:]}")
    fresh.replace(program)
