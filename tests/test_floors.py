"""The floors of docs/architecture.md, read from the imports of every module."""

import ast
import functools
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping, Set
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

# From the ground up. Folders of one floor do not import each other.
FLOORS = (
    ("errors",),
    ("locks", "options", "progress"),
    ("files", "evaluate_options"),
    ("texts",),
    ("folders",),
    ("parallel",),
    ("reversible", "volumes", "config"),
    ("dti",),
    ("metrics",),
    ("losses", "nets", "data"),
    ("methods",),
    ("domains",),
    ("prediction",),
    ("evaluation",),
    ("training", "slicer", "export", "transforms"),
    ("report",),
    ("cli",),
)
FLOOR_OF = {name: number for number, names in enumerate(FLOORS) for name in names}
MODULES = sorted((ROOT / "medrev").rglob("*.py"))
#: The sections of a pipeline that describe data; only these folders know which is which.
SECTIONS = {"DTIData", "ContrastData", "ScalarData", "ImageData", "SingleImageData"}
KNOW_SECTIONS = {"config", "domains"}
#: ``data.kind``, ``data["kind"]``, ``data.get("kind")``.
KIND_OF_DATA = re.compile(r"\b_?(data|section)(\.kind\b|\['kind'\]|\.get\('kind')")
#: What commands may import before they parse.
LIGHT = {"errors", "evaluate_options", "files", "folders", "locks", "options", "progress"}
SLOW = {"torch", "monai", "torchio", "pydantic", "rich", "pandas", "scipy", "dipy", "matplotlib"}


def name_of(file: Path) -> str:
    parts = file.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports_of(file: Path, *, top_level_only: bool = False) -> Iterator[str]:
    """The full names that a module imports, in functions and for type checkers too.

    With ``top_level_only`` those that are imported when the module is.
    """
    todo: list[ast.AST] = list(tree_of(file).body)
    while todo:
        node = todo.pop()
        if top_level_only and isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        if isinstance(node, ast.If) and ast.unparse(node.test).endswith("TYPE_CHECKING"):
            todo += node.orelse if top_level_only else [*node.body, *node.orelse]
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file}: imports are absolute"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        else:
            todo += ast.iter_child_nodes(node)


@functools.cache
def tree_of(file: Path) -> ast.Module:
    return ast.parse(file.read_text(encoding="utf-8"))


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
    if name_of(file) == "medrev":  # hands on names of all floors, and imports none of them
        assert [name for name in imports_of(file, top_level_only=True) if folder_of(name)] == []
        return
    own = folder_of(name_of(file))
    for name in imports_of(file):
        other = folder_of(name)
        if other is not None and other != own:
            assert FLOOR_OF[other] < FLOOR_OF[own], f"{name_of(file)} imports {name}"


def test_there_are_no_circles():
    known = {name_of(file) for file in MODULES}
    graph = {
        name_of(file): {module_of(name, known) for name in imports_of(file)} - {None, "medrev"}
        for file in MODULES
    }
    # A folder's __init__ hands on names: that a module imports from its own folder's __init__
    # would be a circle, and shows up as one here.
    assert circles(graph) == []


def circles(graph: Mapping[str, Set[str]]) -> list[list[str]]:
    """The groups of modules that import each other, by Tarjan's algorithm."""
    order: dict[str, int] = {}
    lowest: dict[str, int] = {}
    stack: list[str] = []
    found = []

    def visit(module: str) -> None:
        order[module] = lowest[module] = len(order)
        stack.append(module)
        for other in graph[module]:
            if other not in order:
                visit(other)
            if other in stack:
                lowest[module] = min(lowest[module], lowest[other])
        if lowest[module] == order[module]:
            group = stack[stack.index(module) :]
            del stack[stack.index(module) :]
            if len(group) > 1 or module in graph[module]:
                found.append(sorted(group))

    for module in graph:
        if module not in order:
            visit(module)
    return sorted(found)


def test_circles_are_found():
    assert circles({"a": {"b"}, "b": {"c"}, "c": {"b"}, "d": {"d"}}) == [["b", "c"], ["d"]]


def test_a_domain_never_imports_another():
    folders = {path.name for path in (ROOT / "medrev" / "domains").iterdir() if path.is_dir()}
    for file in MODULES:
        _, *place = name_of(file).split(".")
        if place[:1] == ["domains"] and place[1:2] and place[1] in folders:
            for name in imports_of(file):
                parts = name.split(".")
                if parts[:2] == ["medrev", "domains"] and parts[2:3] and parts[2] in folders:
                    assert parts[2] == place[1], f"{name_of(file)} imports {name}"


@pytest.mark.parametrize("file", MODULES, ids=name_of)
def test_only_domains_know_the_kind_of_data(file):
    if folder_of(name_of(file)) in KNOW_SECTIONS:
        return
    asked = sorted(set(questions_of_kind(tree_of(file))))
    assert asked == []


def questions_of_kind(tree: ast.Module) -> Iterator[str]:
    """Where a module names a data section, or compares the kind of one."""
    for node in ast.walk(tree):
        named = {
            ast.Name: lambda n: n.id,
            ast.Attribute: lambda n: n.attr,
            ast.alias: lambda n: n.name.rpartition(".")[2],
        }.get(type(node), lambda n: "")(node)
        if named in SECTIONS:
            yield named
        if isinstance(node, ast.Compare | ast.Match):
            text = ast.unparse(node.subject if isinstance(node, ast.Match) else node)
            if KIND_OF_DATA.search(text):
                yield text


@pytest.mark.parametrize(
    "code",
    [
        "from medrev.config.schema import DTIData",
        "isinstance(data, schema.ImageData)",
        "pipeline.data.kind == 'dti'",
        "'images' != self._data.get('kind')",
        "data['kind'] in kinds",
    ],
)
def test_questions_of_the_kind_of_data_are_found(code):
    assert list(questions_of_kind(ast.parse(code)))
    assert not list(questions_of_kind(ast.parse("volume.kind == 'tensor'; metadata.kind == 1")))


@pytest.mark.parametrize(
    "file", [f for f in MODULES if folder_of(name_of(f)) == "config"], ids=name_of
)
def test_config_imports_no_heavy_package(file):
    packages = {name.split(".")[0] for name in imports_of(file)}
    assert not packages & (SLOW - {"pydantic"})


@pytest.mark.parametrize(
    "file",
    [f for f in MODULES if folder_of(name_of(f)) in {"cli", *LIGHT}],
    ids=name_of,
)
def test_commands_import_nothing_slow_at_module_level(file):
    names = set(imports_of(file, top_level_only=True))
    assert not {name.split(".")[0] for name in names} & SLOW
    assert {folder_of(name) for name in names} <= LIGHT | {None, "cli"}


@pytest.mark.parametrize(
    "statement",
    [
        "from medrev.cli.train import build_parser; build_parser()",
        "from medrev.cli.infer import build_parser; build_parser()",
        "from medrev.cli.evaluate import build_parser; build_parser()",
        "from medrev.cli.export import build_parser; build_parser()",
        "from medrev.cli.calibrate import build_parser; build_parser()",
        "from medrev.cli.degrade import build_parser; build_parser()",
        "from medrev.cli.sample import build_parser; build_parser()",
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
