import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("bench", "algos", "envs")  # each may import those after it
FILES = sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))
# These turn stored results into tables, on machines that need no JAX.
WITHOUT_JAX = [ROOT / "bench/store.py", *sorted((ROOT / "bench/report").glob("*.py"))]


def imports(path):
    """Dotted names of the modules that ``path`` imports, and of what it takes from them."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path} imports relatively"
            names |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return names


def is_module(name, module):
    return name == module or name.startswith(f"{module}.")


def project_file(name):
    """The file of the project's module ``name``, or None."""
    path = ROOT.joinpath(*name.split("."))
    for file in (path.with_suffix(".py"), path / "__init__.py"):
        if file.exists():
            return file
    return None


def reachable(path):
    """Names imported by ``path``, by the project's files that it imports, and so on."""
    names, todo = set(), [path]
    while todo:
        for name in imports(todo.pop()) - names:
            names.add(name)
            parts = name.split(".")
            if parts[0] in PACKAGES:
                # Importing a.b.c runs a/__init__.py and a/b/__init__.py as well.
                parents = [".".join(parts[:i]) for i in range(1, len(parts) + 1)]
                todo += [file for parent in parents if (file := project_file(parent))]
    return names


def methods():
    """The files in algos that the registry makes columns of: those that offer ``make``."""
    offers_make = lambda file: any(
        isinstance(node, ast.FunctionDef) and node.name == "make"
        for node in ast.parse(file.read_text()).body
    )
    return sorted(file for file in (ROOT / "algos").glob("*.py") if offers_make(file))


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_go_from_bench_to_algos_to_envs(path):
    package = path.relative_to(ROOT).parts[0]
    for above in PACKAGES[: PACKAGES.index(package)]:
        assert not [name for name in imports(path) if is_module(name, above)]


def test_runs_and_reports_know_nothing_of_each_other():
    for one, other in (("run", "report"), ("report", "run")):
        files = sorted((ROOT / "bench" / one).glob("*.py"))
        assert len(files) > 5
        for file in files:
            assert not [name for name in imports(file) if is_module(name, f"bench.{other}")]


def test_methods_do_not_import_each_other():
    files = methods()
    assert {"bc", "iql"} <= {file.stem for file in files}
    for file in files:
        others = [f"algos.{other.stem}" for other in files if other != file]
        others += ["algos.registry"]
        assert not [name for name in imports(file) for other in others if is_module(name, other)]


@pytest.mark.parametrize("library", ["flax.linen", "distrax"])
def test_only_the_networks_file_knows_the_libraries_of_networks(library):
    users = [
        str(path.relative_to(ROOT))
        for path in FILES
        if any(is_module(name, library) for name in imports(path))
    ]
    assert users == ["algos/networks.py"]


@pytest.mark.parametrize("path", WITHOUT_JAX, ids=lambda path: path.name)
def test_results_and_tables_do_without_jax(path):
    libraries = ("jax", "flax", "optax", "chex", "distrax", "orbax")
    names = reachable(path)
    assert not [name for name in names for library in libraries if is_module(name, library)]


def test_what_can_be_reached_goes_through_the_projects_own_files():
    # bench, algos.core and so on lead to JAX, by way of other files as well.
    assert "jax" not in imports(ROOT / "algos/registry.py")
    assert "jax" in reachable(ROOT / "algos/registry.py")
    assert "mujoco" in reachable(ROOT / "envs/tasks.py")
