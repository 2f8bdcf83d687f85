"""Networks that read four tokens, `a op b =`, known only from their file."""

import pytest
import torch

import mechgrok as mg
from mechgrok import cli
from mechgrok.tasks import Operation


@pytest.mark.parametrize("specials", [("op", "="), ("=", "op")], ids=" ".join)
def test_a_file_of_a_network_that_reads_four_tokens_says_what_it_computes(specials, tmp_path, capsys):
    task = mg.modular_task("mul", 7, sequence=("a", "op", "b", "=")).with_specials(*specials)
    run = mg.train(task, "fast", fraction=1.0, steps=200, progress=False)
    trained = run.model()
    assert isinstance(trained, mg.HookedTransformer)
    file = mg.save_model(trained, tmp_path / "four.safetensors")
    network = mg.load_model(file)
    assert network.task is None
    inferred = mg.infer_task(network)
    assert isinstance(inferred, Operation)
    assert inferred.slots == ("a", "op", "b", "=")
    assert torch.equal(inferred.tokens, task.tokens)
    assert torch.equal(inferred.labels, task.labels)
    assert "computes a*b with 100.00% accuracy" in mg.summarize(file).verdict
    assert cli.main(["analyze", str(file)]) == 0
    assert "computes a*b with 100.00% accuracy" in " ".join(capsys.readouterr().out.split())
