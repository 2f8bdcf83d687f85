"""The logit lens by hand, with and without a final norm, and on tasks with one answer and with several."""

import pytest
import torch
from torch.nn.functional import cross_entropy

import mechgrok as mg


@pytest.mark.parametrize("normalization", [None, "LN", "RMS"])
@pytest.mark.parametrize(
    "task", [mg.modular_task("add", 5), mg.running_sum_task(3, 4)], ids=["sum", "sequence"]
)
def test_the_same_by_hand(task, normalization):
    config = mg.ModelConfig(d_model=16, n_heads=2, n_layers=2, normalization=normalization)
    model = mg.build_model(task, config, seed=0).double()
    tokens = task.examples.inputs
    with torch.no_grad():
        _, cache = model.run_with_cache(tokens)
        found = mg.logit_lens(model)
        assert found.stages == ("embed", "L0 attn", "L0 mlp", "L1 attn", "L1 mlp")
        hooks = [("resid_pre", 0), ("resid_mid", 0), ("resid_post", 0), ("resid_mid", 1), ("resid_post", 1)]
        for i, hook in enumerate(hooks):
            logits = model.unembed(model.ln_final(cache[hook]))[..., : task.n_classes]
            several = task.signature.n_scored > 1
            labels = task.labels if several else task.labels[:, None].expand(-1, tokens.shape[1])
            for j in range(tokens.shape[1]):
                loss = cross_entropy(logits[:, j], labels[:, j]).item()
                assert found.loss[i, j].item() == pytest.approx(loss, rel=1e-9)
                right = (logits[:, j].argmax(1) == labels[:, j]).double().mean().item()
                assert found.accuracy[i, j].item() == pytest.approx(right)


def test_where_the_answer_arises():
    clock = mg.logit_lens(mg.clock_transformer(11, {3: 9.0}))
    assert clock.accuracy[-1].tolist() == pytest.approx([1 / 11, 1 / 11, 1], abs=0.05)
    assert clock.accuracy[:-1].max() < 0.2
    task = mg.repeated_sequence_task(30, 12, subsequence=4, repeats=2, finite=50)
    model = mg.induction_network(d_vocab=task.signature.inputs.d_vocab, n_ctx=task.signature.inputs.n_ctx)
    model.task = task
    lens = mg.logit_lens(model)
    assert lens.stages == ("embed", "L0 attn", "L1 attn")
    assert lens.accuracy[-1].min() > 0.8
    assert lens.accuracy[:-1].max() < 0.2


def test_masks_and_what_has_no_stream():
    task = mg.modular_task("add", 5)
    model = mg.build_model(task, mg.ModelConfig(d_model=16), seed=0)
    split = task.split(0.4)
    lens = mg.logit_lens(model, split.train)
    assert lens.loss[-1, -1].item() == pytest.approx(mg.full_loss(model, split.train), rel=1e-6)
    assert lens.n_inputs == int(split.train.sum())
    with pytest.raises(mg.ActivationError, match="residual stream"):
        mg.logit_lens(mg.build_model(task, mg.MLPConfig(d_embed=8, d_mlp=16), seed=0))
    with pytest.raises(mg.ActivationError, match="tensors alone"):
        mg.logit_lens(mg.grid_from_tensors(task, torch.randn(25, 5)))
