"""Types of public names for editors and type checkers: every name, with its arguments and results."""

import ast
import json
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import get_type_hints

import pytest

import mechgrok as mg
from mechgrok.config import AllTrainChanges, TrainChanges, TrainConfig

PACKAGE = Path(mg.__file__).parent
STUB = PACKAGE / "__init__.pyi"

TAKEN = """\
import mechgrok as mg

task = mg.modular_task("add", 7)
run = mg.train(task, "fast", lr=1e-3, steps=20, optimizer="muon", betas=(0.9, 0.98), progress=False)
keys = mg.find_key_frequencies(run)
reveal_type(keys)
reveal_type(mg.train_many(task, lr=0.1, out="runs")[0].run)
reveal_type(mg.MEASURES["loss_test"])
reveal_type(mg.OPTIMIZERS["adamw"].elementwise)
reveal_type(mg.TrainConfig(lr=0.1).model)
"""
REVEALED = [
    "KeyFrequencies",
    "Run | None",
    "Measure",
    "bool",
    "NetworkConfig | CustomConfig",
]

REFUSED = {
    'mg.train("not a task")': "reportArgumentType",
    "mg.train(task, nonsense=3)": "reportCallIssue",
    'mg.train(task, lr="fast")': "reportArgumentType",
    'mg.train(task, loss_dtype="float8")': "reportArgumentType",
    "mg.train_many(task, nonsense=3, out='runs')": "reportCallIssue",
    "mg.find_keys(task)": "reportAttributeAccessIssue",
    "mg.ModelConfig(d_modle=3)": "reportCallIssue",
    "mg.find_key_frequencies(run).nonsense": "reportAttributeAccessIssue",
}


@pytest.fixture(scope="module")
def checked(tmp_path_factory):
    """What pyright says about two files, by file name: in the one everything fits, in the other no line does."""
    if find_spec("pyright") is None:
        pytest.skip("pyright is not installed")
    folder = tmp_path_factory.mktemp("typed")
    head = "import mechgrok as mg\n\ntask = mg.modular_task('add', 7)\nrun = mg.load_run('add113-fast')\n"
    (folder / "taken.py").write_text(TAKEN)
    (folder / "refused.py").write_text(head + "\n".join(REFUSED) + "\n")
    settings = {"extraPaths": [str(PACKAGE.parent)], "reportUnusedExpression": False}
    (folder / "pyrightconfig.json").write_text(json.dumps(settings))
    done = subprocess.run(
        [sys.executable, "-m", "pyright", "--pythonpath", sys.executable, "--outputjson", "-p", str(folder)],
        capture_output=True,
        text=True,
        timeout=300,
    )
    said = json.loads(done.stdout)["generalDiagnostics"]
    return {
        name: [found for found in said if Path(found["file"]).name == name]
        for name in ("taken.py", "refused.py")
    }


def test_what_is_right_is_known_with_its_type(checked):
    wrong = [found["message"] for found in checked["taken.py"] if found["severity"] == "error"]
    assert wrong == []
    revealed = [f["message"] for f in checked["taken.py"] if f["severity"] == "information"]
    assert [message.split('is "')[1].rstrip('"') for message in revealed] == REVEALED


def test_what_is_wrong_is_refused(checked):
    found = {f["range"]["start"]["line"] - 4: f["rule"] for f in checked["refused.py"]}
    assert found == dict(enumerate(REFUSED.values()))


def test_the_stub_has_the_public_names_and_no_others():
    in_stub = [
        (f"{node.module}", name.name)
        for node in ast.parse(STUB.read_text(encoding="utf-8")).body
        if isinstance(node, ast.ImportFrom)
        for name in node.names
        if name.asname == name.name
    ]
    missing = sorted(set(in_stub) ^ {(module, name) for module, names in mg._HOME.items() for name in names})
    assert missing == [], "the table in mechgrok/__init__.py and the imports in __init__.pyi differ"


def test_changes_of_a_training_are_the_fields_of_its_configuration():
    fields = get_type_hints(TrainConfig)
    fields = {name: fields[name] for name in TrainConfig.model_fields}
    assert get_type_hints(AllTrainChanges) == fields
    assert get_type_hints(TrainChanges).keys() == fields.keys() - {"recipe", "model", "steps"}


MEASURES = ("losses", "circuit", "neurons", "mechanism", "weights", "heads")
"""Modules of measures, which are called after the quantity that they follow."""


def public_definitions() -> dict[str, list[str]]:
    """Modules that define each public function and class of the package, by name."""
    defined: dict[str, list[str]] = {}
    for file in PACKAGE.rglob("*.py"):
        place = str(file.relative_to(PACKAGE))
        if place in {f"measures/{name}.py" for name in MEASURES} or place.startswith("cli/"):
            continue  # a command is called after what it does
        for node in ast.parse(file.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.FunctionDef | ast.ClassDef) and not node.name.startswith("_"):
                defined.setdefault(node.name, []).append(place)
    return defined


def test_a_public_name_is_defined_once():
    defined = public_definitions()
    assert set(mg.__all__) - set(defined) <= {name for name in mg.__all__ if name.isupper()}
    assert {name: places for name, places in defined.items() if len(places) > 1} == {}
