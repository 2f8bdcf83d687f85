"""Every example runs, and prints its subject."""

import runpy
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[1] / "examples"
PRINTED = {
    "a_task_of_your_own": "The network computes majority",
    "ablate_with_hooks": "answers with the keys alone: [7, 11]",
    "bring_your_own": "The network computes a+b",
    "compose_permutations": "KeyFrequencies(sign: 50.0%, standard: 50.0%; by logits)",
    "phases_of_learning": "Sweep(4 networks over lr, weight_decay;",
    "train_and_watch": "restricted",
    "which_frequencies": "logits     KeyFrequencies(4: 50.0%, 19: 50.0%; by logits)",
    "wrong_basis": "FourierBasis(Z59): no key frequencies: the strongest 29 candidates explain",
}
ARGUMENTS = {"phases_of_learning": ["--points", "2", "--steps", "20", "--workers", "1"]}


def test_all_examples_are_known():
    assert {file.stem for file in EXAMPLES.glob("*.py")} == PRINTED.keys()


@pytest.mark.parametrize("name", PRINTED)
def test_example(name, capsys, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.argv", [f"{name}.py", *ARGUMENTS.get(name, [])])
    runpy.run_path(str(EXAMPLES / f"{name}.py"), run_name="__main__")
    assert PRINTED[name] in capsys.readouterr().out
