"""TransformerLens's hooks without the language-model libraries that its packages import along the way.

Our networks are built on `HookPoint` and `HookedRootModule`. Importing these runs the `__init__` of `transformer_lens`
and of its subpackages, which import transformers, datasets and pandas: more CPU time than everything else that
`mechgrok analyze` does before its first number. Within a command, these packages are therefore opened name by name: a
name that an `__init__` takes from one of its modules is taken from there, and the `__init__` itself runs when
something is requested that only it can provide. The classes are TransformerLens's own, from its own modules.

Only the command line does this; `import mechgrok` leaves imports unchanged.
"""

import ast
import sys
from collections.abc import Iterator
from importlib import import_module
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path
from types import ModuleType
from typing import Any

LIBRARY = "transformer_lens"


def open_by_name() -> None:
    """Make TransformerLens's packages run their `__init__` only when needed; no effect if they are already loaded."""
    if LIBRARY not in sys.modules and not any(isinstance(f, _ByName) for f in sys.meta_path):
        sys.meta_path.insert(0, _ByName())


class _ByName(MetaPathFinder):
    """Finds the packages of TransformerLens, and leaves their modules to Python."""

    def find_spec(self, fullname: str, path: Any, target: ModuleType | None = None) -> ModuleSpec | None:
        if fullname.partition(".")[0] != LIBRARY:
            return None
        spec = PathFinder.find_spec(fullname, path, target)
        if spec is not None and spec.submodule_search_locations is not None and spec.origin and spec.loader:
            spec.loader = _PackageLoader(spec.loader, Path(spec.origin))
        return spec


class _PackageLoader(Loader):
    """Creates a package whose names are looked up one by one."""

    def __init__(self, usual: Loader, init: Path) -> None:
        self.usual, self.init = usual, init

    def exec_module(self, module: ModuleType) -> None:
        homes = dict(_homes(module.__name__, self.init))

        def look_up(name: str) -> Any:
            if name in homes:
                value = getattr(import_module(homes[name]), name)
            elif name.startswith("__") and name != "__all__":
                raise AttributeError(name)  # attributes that Python itself looks up in every module
            else:
                del module.__getattr__  # pyright: ignore[reportAttributeAccessIssue]
                self.usual.exec_module(module)
                value = getattr(module, name)
            setattr(module, name, value)
            return value

        module.__getattr__ = look_up  # pyright: ignore[reportAttributeAccessIssue]


def _homes(package: str, init: Path) -> Iterator[tuple[str, str]]:
    """Names that an `__init__` imports from modules below it, and these modules."""
    for node in ast.parse(init.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.ImportFrom) and node.module:
            home = f"{package}.{node.module}" if node.level == 1 else node.module
            if home.startswith(f"{package}."):
                yield from ((alias.name, home) for alias in node.names if alias.asname in (None, alias.name))
