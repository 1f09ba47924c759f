"""The floors of docs/architecture.md, read from the imports of every module."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

# From the ground up. Folders of one floor do not import each other.
FLOORS = (
    ("errors",),
    ("files", "options", "progress"),
    ("parallel",),
    ("reversible", "volumes", "config"),
    ("dti",),
    ("metrics",),
    ("losses", "nets", "data"),
    ("methods", "domains"),
    ("prediction",),
    ("evaluation",),
    ("training", "slicer", "export"),
    ("report",),
    ("cli",),
)
FLOOR_OF = {name: number for number, names in enumerate(FLOORS) for name in names}
MODULES = sorted((ROOT / "medrev").rglob("*.py"))
SLOW = {"torch", "monai", "torchio", "pydantic", "rich", "pandas", "scipy", "dipy", "matplotlib"}


def name_of(file: Path) -> str:
    parts = file.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports_of(file: Path, *, top_level_only: bool = False) -> Iterator[str]:
    """The full names that a module imports; those for type checkers only are left out."""
    tree = ast.parse(file.read_text(encoding="utf-8"))
    todo: list[ast.AST] = list(tree.body)
    while todo:
        node = todo.pop()
        if isinstance(node, ast.If) and ast.unparse(node.test).endswith("TYPE_CHECKING"):
            todo += node.orelse
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file}: imports are absolute"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        elif not (top_level_only and isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)):
            todo += ast.iter_child_nodes(node)


def folder_of(name: str) -> str | None:
    """The folder or ground-floor module of ``medrev.folder.module``; None outside of medrev."""
    parts = name.split(".")
    return parts[1] if parts[0] == "medrev" and len(parts) > 1 and parts[1] in FLOOR_OF else None


def module_of(name: str, known: set[str]) -> str | None:
    """The module that holds an imported name."""
    while name and name not in known:
        name = name.rpartition(".")[0]
    return name or None


def test_every_folder_has_a_floor():
    folders = {name_of(file).split(".")[1] for file in MODULES if name_of(file) != "medrev"}
    assert folders == set(FLOOR_OF)


@pytest.mark.parametrize("file", MODULES, ids=name_of)
def test_imports_come_from_floors_below(file):
    own = folder_of(name_of(file))
    for name in imports_of(file):
        other = folder_of(name)
        if other is not None and other != own:
            assert own is not None, f"medrev imports {name}"
            assert FLOOR_OF[other] < FLOOR_OF[own], f"{name_of(file)} imports {name}"


def test_there_are_no_circles():
    known = {name_of(file) for file in MODULES}
    graph = {
        name_of(file): {module_of(name, known) for name in imports_of(file)} - {None, "medrev"}
        for file in MODULES
    }
    # A folder's __init__ hands on names: that a module imports from its own folder's __init__
    # would be a circle, and shows up as one here.
    state: dict[str, str] = {}

    def visit(module: str, path: tuple[str, ...]) -> None:
        assert state.get(module) != "open", " → ".join([*path, module])
        if module not in state:
            state[module] = "open"
            for other in graph[module]:
                visit(other, (*path, module))
            state[module] = "done"

    for module in graph:
        visit(module, ())


@pytest.mark.parametrize(
    "file", [f for f in MODULES if folder_of(name_of(f)) == "config"], ids=name_of
)
def test_config_imports_no_heavy_package(file):
    packages = {name.split(".")[0] for name in imports_of(file)}
    assert not packages & (SLOW - {"pydantic"})


@pytest.mark.parametrize(
    "file",
    [f for f in MODULES if folder_of(name_of(f)) in {"cli", "files", "options", "progress"}],
    ids=name_of,
)
def test_commands_import_nothing_slow_at_module_level(file):
    names = set(imports_of(file, top_level_only=True))
    assert not {name.split(".")[0] for name in names} & SLOW
    assert {folder_of(name) for name in names} <= {
        None,
        "cli",
        "errors",
        "files",
        "options",
        "progress",
    }


@pytest.mark.parametrize(
    "statement",
    [
        "from medrev.cli.train import build_parser; build_parser()",
        "from medrev.cli.infer import build_parser; build_parser()",
        "from medrev.cli.evaluate import build_parser; build_parser()",
        "from medrev.cli.export import build_parser; build_parser()",
        "from medrev.cli.slicer import build_parser, scene_parser; build_parser(); scene_parser()",
        "from medrev.cli.slicer import install_parser; install_parser()",
    ],
)
def test_parsers_are_built_without_slow_imports(statement):
    assert loaded_by(statement) & {*SLOW, "numpy", "yaml"} == set()


def test_a_pipeline_is_checked_without_torch():
    statement = (
        "from pathlib import Path; from medrev.config import load_pipeline; "
        "load_pipeline(sorted(Path('pipelines').rglob('*.yaml'))[0])"
    )
    assert loaded_by(statement) & {"torch", "monai", "numpy"} == set()


def loaded_by(statement: str) -> set[str]:
    code = f"import sys; {statement}; print(*{{name.split('.')[0] for name in sys.modules}})"
    run = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    return set(run.stdout.split())
