"""The rooms of `dl/` stand in floors: none imports a room above it, or beside it on its floor. Imports in functions count."""

import ast

from tests.conftest import REPOSITORY

# From the ground up. A room is a package or a module of `dl`; docs/architecture.md tells what is in each.
FLOORS = (
    ("errors", "artifacts", "metric", "provenance", "signals"),
    ("registry", "config", "vocabulary", "files", "trees"),
    ("dataset", "variants"),
    ("task", "config_file"),
    ("state",),
    ("mesh", "layers"),
    ("models", "data", "report"),
    ("evaluation", "training"),
    ("interop", "inspection"),
    ("transfer",),
    ("tasks",),
    ("generation",),
    ("api",),
)


def room(module: str) -> str:
    return module.split(".")[1]


def imports() -> set[tuple[str, str, str]]:
    """(room, room that it imports, file), of every import in the package."""
    found = set()
    for path in sorted((REPOSITORY / "dl").rglob("*.py")):
        parts = path.relative_to(REPOSITORY).with_suffix("").parts
        if len(parts) < 2 or parts == ("dl", "__init__"):
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom) and node.module == "dl":
                names = [f"dl.{alias.name}" for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                names = [node.module or ""]
            else:
                names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            found |= {(parts[1], room(n), str(path)) for n in names if n.startswith("dl.") and room(n) != parts[1]}
    return found


def test_every_room_has_its_floor():
    rooms = {path.stem for path in (REPOSITORY / "dl").iterdir() if path.suffix == ".py" or (path / "__init__.py").exists()}
    assert rooms - {"__init__"} <= {room for floor in FLOORS for room in floor}


def test_no_import_runs_up_or_along_a_floor():
    height = {room: number for number, floor in enumerate(FLOORS) for room in floor}
    assert [edge for edge in sorted(imports()) if height[edge[1]] >= height[edge[0]]] == []


def test_linen_orbax_and_meshes_are_made_in_one_place_each():
    def files(text: str, *allowed: str) -> list[str]:
        paths = [str(p.relative_to(REPOSITORY)) for p in (REPOSITORY / "dl").rglob("*.py") if text in p.read_text()]
        return [path for path in paths if not path.startswith(allowed)]

    assert files("orbax", "dl/training/checkpoint.py", "dl/training/result.py") == []  # result.py writes down its version
    assert files("make_mesh(", "dl/mesh.py") == []
