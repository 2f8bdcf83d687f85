"""Ablated heads and clusters against the same hooks written by hand."""

import pytest
import torch
from torch.nn.functional import cross_entropy

import mechgrok as mg
from mechgrok.analysis.component_ablation import everywhere

TASK = mg.modular_task("add", 7)


def deep(task=TASK, **options):
    return mg.build_model(task, mg.ModelConfig(d_model=16, n_heads=2, n_layers=2, **options), seed=0).double()


@pytest.mark.parametrize("task", [TASK, mg.running_sum_task(3, 4)], ids=["sum", "sequence"])
@pytest.mark.parametrize(("name", "layer", "head"), [("L0H1", 0, 1), ("L1H0", 1, 0)])
@pytest.mark.parametrize("by", ["mean", "zero"])
def test_a_head_by_hand(task, name, layer, head, by):
    model = deep(task)
    tokens = task.examples.inputs
    z = model.run_with_cache(tokens)[1]["z", layer][:, :, head].detach()
    put = torch.zeros_like(z[:1]) if by == "zero" else z.mean(0, keepdim=True)

    def replace(activation, hook):
        activation[:, :, head] = put
        return activation

    with torch.no_grad():
        logits = model.run_with_hooks(tokens, fwd_hooks=[(f"blocks.{layer}.attn.hook_z", replace)])
    scored = logits if task.signature.n_scored > 1 else logits[:, -1]
    expected = cross_entropy(scored.flatten(0, -2)[:, : task.n_classes], task.labels.flatten()).item()
    found = mg.ablate_components(model, by)
    assert found.after[name].loss == pytest.approx(expected, rel=1e-9)
    assert found.before.loss == pytest.approx(mg.full_loss(model), rel=1e-9)
    assert found.loss_increase[name] == pytest.approx(expected - mg.full_loss(model))


def test_what_is_resampled_is_another_input_each():
    model = deep()
    grid = mg.cache_grid(model)
    values = everywhere(grid, ["blocks.1.mlp.hook_post"])["blocks.1.mlp.hook_post"]
    assert values.shape == (49, 1, 64)  # the last layer computes the read-out alone
    found = {seed: mg.ablate_components(model, "resample", seed=seed) for seed in (0, 0, 1)}
    assert repr(found[0]) != repr(found[1])
    assert repr(found[0]) == repr(mg.ablate_components(model, "resample"))


@pytest.mark.parametrize("p", [11, 12, 15])
def test_clusters_of_a_planted_circuit(p):
    """Without one of two frequencies, the logits are those of the other."""
    keys = {1: 6.0, p // 2 - 1: 4.0}
    found = mg.ablate_components(mg.cosine_network(p, keys))
    for key in keys:
        rest = mg.cosine_network(p, {k: a for k, a in keys.items() if k != key})
        assert found.after[f"neurons {key}"].loss == pytest.approx(mg.full_loss(rest), rel=1e-6)
    resampled = mg.ablate_components(mg.cosine_network(p, keys), "resample")
    assert all(
        resampled.after[name].loss > found.after[name].loss for name in found.after if "neurons" in name
    )


def test_the_circuit_of_an_induction_network():
    task = mg.repeated_sequence_task(30, 12, subsequence=4, repeats=2, finite=50)
    model = mg.induction_network(d_vocab=task.signature.inputs.d_vocab, n_ctx=task.signature.inputs.n_ctx)
    model.task = task
    found = mg.ablate_components(model)
    assert found.before.accuracy > 0.8
    assert {name for name, rise in found.loss_increase.items() if rise > 0.5} == {"L0H0", "L1H1"}


def test_a_mask_and_what_is_refused():
    model = deep()
    split = TASK.split(0.4)
    assert mg.ablate_components(model, mask=split.train).before.loss == pytest.approx(
        mg.full_loss(model, split.train)
    )
    with pytest.raises(mg.MechgrokError, match="by"):
        mg.ablate_components(model, "median")
    with pytest.raises(mg.ActivationError, match="tensors alone"):
        mg.ablate_components(mg.grid_from_tensors(TASK, torch.randn(49, 7)))
