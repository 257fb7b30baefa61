"""Reads the project's own source: its files, and what each module imports.

Works on text and syntax trees alone; nothing is imported. Every import counts alike, wherever it
stands: at the top, inside a function, under ``TYPE_CHECKING``, or by name through ``importlib``.
"""

from __future__ import annotations

import ast
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent

_BLOCKS = ("body", "orelse", "finalbody", "handlers", "cases")
"""Where a statement has statements, or what has them."""


@dataclass(frozen=True)
class Module:
    """One file of a package, under the name it is imported by."""

    name: str
    path: Path
    tree: ast.Module
    lines: int

    @property
    def inner(self) -> str:
        """The name inside its package: "" for the package itself."""
        return self.name.partition(".")[2]


@dataclass(frozen=True)
class Import:
    """One module that another one names in an import."""

    importer: str
    target: str
    line: int

    def __str__(self) -> str:
        return f"{self.importer}:{self.line} imports {self.target}"


def project_files(*patterns: str) -> list[Path]:
    """The files that belong to the project, tracked or new, without what git ignores."""
    command = ["git", "-c", "safe.directory=*", "ls-files", "-z", "-co", "--exclude-standard"]
    listed = subprocess.run(
        [*command, "--", *patterns], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout
    paths = {ROOT / name for name in listed.split("\0") if name}
    return sorted(path for path in paths if path.is_file() and not path.is_symlink())


def parse(path: Path, name: str) -> Module:
    text = path.read_text()
    return Module(name, path, ast.parse(text, str(path)), text.count("\n"))


def package(folder: Path) -> dict[str, Module]:
    """All modules of the package that lies in ``folder``, by dotted name."""
    found = {}
    for path in sorted(folder.rglob("*.py")):
        parts = path.relative_to(folder.parent).with_suffix("").parts
        name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
        found[name] = parse(path, name)
    return found


def imports(module: Module, known: Mapping[str, Module]) -> list[Import]:
    """What ``module`` imports; ``from a import b`` is ``a.b`` where ``known`` has such a module."""
    found = []
    for node in ast.walk(module.tree):
        for target in _targets(node, module, known):
            found.append(Import(module.name, target, getattr(node, "lineno", 0)))
    return found


def _targets(node: ast.AST, module: Module, known: Mapping[str, Module]) -> Iterator[str]:
    match node:
        case ast.Import(names=names):
            yield from (name.name for name in names)
        case ast.ImportFrom(names=names):
            origin = _origin(node, module)
            for name in names:
                inner = f"{origin}.{name.name}"
                yield inner if inner in known else origin
        case ast.Call(func=function, args=[ast.Constant(value=str(name)), *_]):
            if ast.unparse(function).endswith(("import_module", "__import__")):
                yield f"{_package(module)}{name}" if name.startswith(".") else name


def _origin(node: ast.ImportFrom, module: Module) -> str:
    if not node.level:
        return node.module or ""
    parts = _package(module).split(".")
    parts = parts[: len(parts) - node.level + 1]
    return ".".join([*parts, node.module] if node.module else parts)


def _package(module: Module) -> str:
    return module.name if module.path.name == "__init__.py" else module.name.rpartition(".")[0]


def functions(tree: ast.Module) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    """Every function, however deep. Expressions hold none, and most of a tree is expressions."""
    todo: list[ast.AST] = [tree]
    while todo:
        node = todo.pop()
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node
        for name in _BLOCKS:
            todo += getattr(node, name, ())


def listed_names(tree: ast.Module) -> list[str] | None:
    """What ``__all__`` lists, or None without one; it must be a plain list of strings."""
    for node in tree.body:
        match node:
            case (
                ast.Assign(targets=[ast.Name("__all__")], value=value)
                | ast.AnnAssign(target=ast.Name("__all__"), value=ast.expr() as value)
            ):
                names = ast.literal_eval(value)
                return [str(name) for name in names]
    return None


def public_names(module: Module) -> set[str]:
    """The public functions and classes a module makes; constants and aliases are its own affair.

    A package's ``__init__`` also makes public what it imports from its own package.
    """
    names: set[str] = set()
    for node in module.tree.body:
        match node:
            case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef():
                names.add(node.name)
            case ast.ImportFrom(names=aliases) if module.path.name == "__init__.py":
                if _origin(node, module).split(".")[0] == module.name.split(".")[0]:
                    names.update(alias.asname or alias.name for alias in aliases)
    return {name for name in names if not name.startswith("_")}
