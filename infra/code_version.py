"""Which of our modules a piece of work reaches, and one hash of their source: the code's share of a fingerprint.

A finished shard is reused only by the code that made it. All of the project's code would be too much: a docstring in
the trainer would void the receipts of a crawl. So names are followed, in the source text, from the classes and
functions that do the work:

- from a definition to every name that it uses: in its own module, or, through an import that stands anywhere in the
  file, in another of our modules;
- to a top-level statement that is no definition or assignment (a loop, a call), whenever its module is reached;
- from a string that is the dotted path of one of our modules, with or without `:name`, to that module or name: so the
  target of a sandbox counts;
- from a string that is the dotted path of one of our packages to the data files in that folder: so what is read
  through `importlib.resources.files("pipeline.extract")` counts;
- from an object to the classes and functions that its fields hold (`names_in`), which no text shows.

Hashed are whole files: the modules reached, the `__init__.py` of their packages, the data files. Names and paths
that are put together at run time (`getattr`, `__file__`) are not seen: code that decides what a task writes uses none.

To read all files takes a fifth of a second. So versions are kept in the user's cache folder (`$XDG_CACHE_HOME`, else
`~/.cache`), valid while all source and data files have the size and times that they had.
"""

import ast
import contextlib
import functools
import gc
import hashlib
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, fields, is_dataclass
from pathlib import Path
from typing import Any, NamedTuple

from infra.hashing import canonical_json, sha256_json
from infra.storage import read_json, temporary_name

PACKAGES = frozenset({"dedup", "filters", "infra", "mixers", "pipeline", "refinery", "trainer"})
# In the place of a name: all of a module; the data files of a package.
WHOLE, DATA = "", "/"
_DOTTED_PATH = re.compile(r"[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)+(?::[A-Za-z_]\w*)?")
_PLAIN = frozenset({str, int, float, bool, bytes, type(None)})
_SCOPES = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef


class Name(NamedTuple):
    """A top-level name of one of our modules; WHOLE or DATA in its place."""

    module: str
    name: str = WHOLE


def code_version(*things: Any) -> str:
    """The hash of the code that `things` reach: classes, functions, objects with all they hold, or names of modules."""
    return project().version(names_in(things))


@functools.cache
def project() -> "Code":
    root = Path(__file__).resolve().parent.parent
    with contextlib.suppress(RuntimeError):  # a user without a home folder
        cache = Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser()
        # one file for each place of the code, so that two installations keep theirs
        return Code(root, cache / "refinery" / f"code-versions-{sha256_json(str(root))[:16]}.json")
    return Code(root)


def names_in(things: Iterable[Any]) -> frozenset[Name]:
    """The definitions of ours that `things` are, are made of, or hold in their fields; strings are names of modules.

    Of dataclasses only the fields are read: what a cached property has added depends on what was asked before.
    """
    found: set[Name] = set()
    waiting: list[Any] = []
    seen: dict[int, Any] = {}  # by identity, and kept, so that no identity is used twice
    for thing in things:
        if isinstance(thing, str):
            found.add(Name(thing))
        else:
            waiting.append(thing)
    while waiting:
        thing = waiting.pop()
        if type(thing) in _PLAIN or id(thing) in seen:
            continue
        seen[id(thing)] = thing
        definition = thing if getattr(thing, "__qualname__", None) else type(thing)
        module, top = str(definition.__module__), str(definition.__qualname__).partition(".")[0]
        if module.partition(".")[0] in PACKAGES:
            found.add(Name(module, top if top.isidentifier() else WHOLE))
        waiting += [held for held in _held(thing) if type(held) not in _PLAIN]
    return frozenset(found)


def _held(thing: Any) -> Iterable[Any]:
    """What an object holds that may lead to code of ours."""
    if isinstance(thing, functools.partial):
        return (thing.func, *thing.args, *thing.keywords.values())
    if isinstance(thing, Mapping):
        return (*thing.keys(), *thing.values())
    if isinstance(thing, list | tuple | set | frozenset):
        return thing
    if isinstance(thing, type):
        return ()
    if is_dataclass(thing):
        return [getattr(thing, field.name, None) for field in fields(thing)]
    if hasattr(thing, "__qualname__"):
        cells = getattr(thing, "__closure__", None) or ()
        return (getattr(thing, "__self__", None), *(cell.cell_contents for cell in cells))
    if type(thing).__module__.partition(".")[0] in PACKAGES:
        return list(getattr(thing, "__dict__", {}).values())
    return ()


@dataclass(frozen=True)
class Module:
    """One file: its imports by the name they bind, and what is used by each top-level name and by other statements."""

    imports: Mapping[str, set[Name]]
    uses: Mapping[str, set[Name]]
    always: set[Name]


class Code:
    """The source below `root`. Each file is read once; versions are kept in the file `kept` for the next process."""

    def __init__(self, root: Path, kept: Path | None = None) -> None:
        self.root = root
        self.kept = kept
        self._files: dict[str, Path | None] = {}
        self._modules: dict[str, Module] = {}
        self._hashes: dict[Path, bytes] = {}
        self._versions: dict[str, str] | None = None

    def version(self, names: frozenset[Name]) -> str:
        """The hash of the names and bytes of all files that `names` reach. ValueError for a name that is not ours."""
        if self._versions is None:
            self._versions = self._read_kept()
        key = sha256_json(sorted(names))
        if key not in self._versions:
            self._versions[key] = self._hash_all(self.files(names))
            self._keep()
        return self._versions[key]

    def _read_kept(self) -> dict[str, str]:
        with contextlib.suppress(OSError):
            rows = read_json(self.kept) if self.kept else None
            if isinstance(rows, dict) and rows.pop("source", None) == self._source:
                return rows
        return {}

    def _keep(self) -> None:
        """Without syncing: a file that a crash has cut is made anew. None is made where nothing may be written."""
        if self.kept:
            with contextlib.suppress(OSError):
                self.kept.parent.mkdir(parents=True, exist_ok=True)
                temporary = temporary_name(self.kept)
                temporary.write_bytes(canonical_json({"source": self._source, **(self._versions or {})}))
                temporary.replace(self.kept)

    @functools.cached_property
    def _source(self) -> str:
        """The hash of name, size and times of all source and data files: by these, Python knows its compiled files."""
        paths = sorted(path for package in PACKAGES for path in _files_below(self.root / package))
        stats = [os.stat(path) for path in paths]  # noqa: PTH116 (paths are strings here: this is done at each start)
        return sha256_json([paths, [[now.st_size, now.st_mtime_ns, now.st_ctime_ns] for now in stats]])

    def _hash_all(self, paths: Iterable[Path]) -> str:
        return hashlib.sha256(b"".join(self._hash(path) for path in paths)).hexdigest()

    def _hash(self, path: Path) -> bytes:
        """Of the file's name and bytes."""
        if path not in self._hashes:
            name = path.relative_to(self.root).as_posix().encode()
            self._hashes[path] = hashlib.sha256(name + b"\0" + path.read_bytes()).digest()
        return self._hashes[path]

    def files(self, names: Iterable[Name]) -> list[Path]:
        """The modules that `names` reach, the `__init__.py` of their packages, and data files; sorted."""
        found: set[Path] = set()
        for module, name in self.reached(names):
            parts = module.split(".")
            packages = (self.file(".".join(parts[:depth])) for depth in range(1, len(parts) + 1))
            found.update(path for path in packages if path)
            if name == DATA:
                found.update(_data_files(self.root.joinpath(*parts)))
        return sorted(found)

    def reached(self, names: Iterable[Name]) -> set[Name]:
        """All names that are used, directly or through others, by `names`."""
        waiting, seen = list(names), set()
        for name in waiting:
            if self.file(name.module) is None:
                raise ValueError(f"{name.module} is not a module below {self.root}")
        while waiting:
            name = waiting.pop()
            if name not in seen:
                seen.add(name)
                waiting += self._next(name)
        return seen

    def _next(self, name: Name) -> Iterator[Name]:
        if name.name == DATA:
            return
        module = self.module(name.module)
        yield from module.always
        yield from module.uses.get(name.name, ())
        yield from module.imports.get(name.name, ())
        if name.name not in module.uses and name.name not in module.imports:
            # all of it; also for a name whose definition does not show in the text
            for used in (*module.uses.values(), *module.imports.values()):
                yield from used

    def module(self, name: str) -> Module:
        if name not in self._modules:
            path = self.file(name)
            assert path is not None, name
            self._modules[name] = _Reader(self, name, path).read()
        return self._modules[name]

    def file(self, module: str) -> Path | None:
        """The file of a module of ours, or of a package its `__init__.py`; None for all others."""
        if module not in self._files:
            place = self.root.joinpath(*module.split("."))
            candidates = (place.with_suffix(".py"), place / "__init__.py")
            ours = module.partition(".")[0] in PACKAGES
            self._files[module] = next((path for path in candidates if ours and path.is_file()), None)
        return self._files[module]


class _Reader:
    """Reads one module's text into what its names use."""

    def __init__(self, code: Code, name: str, path: Path) -> None:
        self.code = code
        self.name = name
        self.path = path
        self.package = name if path.name == "__init__.py" else name.rpartition(".")[0]
        self.imports: dict[str, set[Name]] = {}

    def read(self) -> Module:
        statements = [_Statement(node) for node in _parse(self.path).body]
        for statement in statements:
            for node in statement.imports:
                self._note_import(node)
        ours = {name for statement in statements for name in statement.bound}
        uses: dict[str, set[Name]] = {}
        always: set[Name] = set()
        for statement in statements:
            used = {Name(self.name, base) for base, _ in statement.used if base in ours}
            for base, attribute in statement.used:
                # of an imported module, the attribute that is asked for; all of it where it is used as an object
                for target in self.imports.get(base, ()):
                    used.add(Name(target.module, attribute) if target.name == WHOLE else target)
            for path in statement.paths:
                used.update(self._path(path))
            for name in statement.bound:
                uses.setdefault(name, set()).update(used)
            if not statement.defines:
                always |= used
        return Module(self.imports, uses, always)

    def _note_import(self, node: ast.Import | ast.ImportFrom) -> None:
        if isinstance(node, ast.Import):
            for alias in node.names:
                if self.code.file(alias.name):
                    bound = alias.asname or alias.name.partition(".")[0]
                    self.imports.setdefault(bound, set()).add(Name(alias.name))
            return
        above = self.package.split(".")[: -node.level + 1 or None] if node.level else []
        module = ".".join([*above, *([node.module] if node.module else [])])
        if self.code.file(module):
            for alias in node.names:
                within = f"{module}.{alias.name}"
                target = Name(within) if self.code.file(within) else Name(module, alias.name)
                self.imports.setdefault(alias.asname or alias.name, set()).add(target)

    def _path(self, text: str) -> Iterator[Name]:
        module, _, name = text.partition(":")
        parent, _, last = module.rpartition(".")
        path = self.code.file(module)
        if path and path.name == "__init__.py":
            yield Name(module, DATA)
        elif path:
            yield Name(module, name)
        elif self.code.file(parent):
            yield Name(parent, last)


class _Statement:
    """A top-level statement: what it binds, and the names, attributes of names, dotted paths and imports in it.

    `defines`: it is a definition, an assignment or an import, which does nothing but to bind its names.
    """

    def __init__(self, statement: ast.stmt) -> None:
        self.bound: set[str] = set()
        self.used: set[tuple[str, str]] = set()
        self.paths: set[str] = set()
        self.imports: list[ast.Import | ast.ImportFrom] = []
        self.defines = isinstance(statement, _SCOPES | ast.Import | ast.ImportFrom)
        if isinstance(statement, _SCOPES):
            self.bound.add(statement.name)
            self._read(statement, binds=False)
        else:
            self._read(statement, binds=True)
            assigns = isinstance(statement, ast.Assign | ast.AnnAssign | ast.AugAssign)
            self.defines |= assigns and bool(self.bound)

    def _read(self, statement: ast.stmt, binds: bool) -> None:
        """All nodes of the statement; `binds`: names that are stored in it are the module's."""
        waiting: list[ast.AST] = [statement]
        while waiting:
            node = waiting.pop()
            if isinstance(node, ast.Name):
                self.used.add((node.id, WHOLE))
                if binds and isinstance(node.ctx, ast.Store):
                    self.bound.add(node.id)
            elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
                self.used.add((node.value.id, node.attr))
            elif isinstance(node, ast.Constant):
                if isinstance(node.value, str) and _DOTTED_PATH.fullmatch(node.value):
                    self.paths.add(node.value)
            elif isinstance(node, ast.Import | ast.ImportFrom):
                self.imports.append(node)
            else:
                if isinstance(node, ast.Global):
                    self.bound.update(node.names)
                elif binds and isinstance(node, _SCOPES):
                    self.bound.add(node.name)
                waiting += ast.iter_child_nodes(node)


def _parse(path: Path) -> ast.Module:
    """The tree of a file. Without garbage collection, which takes half of the time and finds nothing."""
    collects = gc.isenabled()
    gc.disable()
    try:
        return ast.parse(path.read_bytes())
    finally:
        if collects:
            gc.enable()


def _data_files(folder: Path) -> Iterator[Path]:
    return (Path(path) for path in _files_below(folder) if not path.endswith(".py"))


def _files_below(folder: Path) -> Iterator[str]:
    for at, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if name != "__pycache__"]
        yield from (f"{at}/{name}" for name in names)
