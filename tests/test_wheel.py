"""The contents of a `pip install`: a wheel with the trained networks, the templates and types, and nothing else."""

import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
NO_NETWORK = ("No matching distribution found for hatchling", "Could not find a version that satisfies")


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """A folder with the content of the wheel, built as pip builds it."""
    folder = tmp_path_factory.mktemp("wheel")
    build = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", folder, ROOT]
    built = subprocess.run(build, capture_output=True, text=True, timeout=300)
    if built.returncode and any(sign in built.stderr for sign in NO_NETWORK):
        pytest.skip("pip finds no hatchling to build with; this needs a package index")
    assert built.returncode == 0, built.stderr
    (wheel,) = folder.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder / "site")
    return folder / "site"


def files_below(folder: Path) -> set[str]:
    return {
        file.relative_to(folder).as_posix()
        for file in folder.rglob("*")
        if file.is_file() and "__pycache__" not in file.parts
    }


def test_the_package_is_whole(installed):
    runs = {f"checkpoints/{file}" for file in files_below(ROOT / "checkpoints")} - {"checkpoints/make.py"}
    assert files_below(installed / "mechgrok") == files_below(ROOT / "mechgrok") | runs
    assert {"py.typed", "report/templates/page.html.jinja", "checkpoints/index.json"} <= files_below(
        installed / "mechgrok"
    )
    assert {path.name.partition("-")[0] for path in installed.iterdir()} == {"mechgrok"}


def test_it_has_the_command(installed):
    (points,) = installed.glob("*.dist-info/entry_points.txt")
    assert "mechgrok = mechgrok.cli:main" in points.read_text()


def test_its_runs_open_by_name(installed, tmp_path):
    script = (
        "import json, mechgrok as mg; names = list(mg.shipped_runs()); [mg.verify_shipped(n) for n in names];"
        "print(json.dumps([mg.__file__, names, str(mg.load_run('add113').path)]))"
    )
    environment = os.environ | {"PYTHONPATH": str(installed)}
    ran = subprocess.run(
        [sys.executable, "-c", script],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    package, names, run = json.loads(ran.stdout)
    assert Path(package).is_relative_to(installed)
    assert set(names) == set(json.loads((ROOT / "checkpoints/index.json").read_text()))
    assert Path(run).is_relative_to(installed)
