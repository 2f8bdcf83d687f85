"""Figures of attention patterns."""

import numpy as np
import pytest
import torch

import mechgrok as mg
from mechgrok.errors import ActivationError
from mechgrok.models.constructed import cosine_network, pizza_network
from mechgrok.plots.attention import attention_patterns

TASK = mg.modular_task("add", 7)
CFG = mg.ModelConfig(d_model=16, n_heads=2, n_layers=2, attention_rate=0.5)


def test_every_head_has_its_pattern():
    model = mg.build_model(TASK, CFG, seed=0)
    for layer, index in ((None, 1), (0, 0), (1, 1), (-2, 0)):
        drawn = attention_patterns(model, layer)
        _, cache = model.run_with_cache(TASK.tokens)
        pattern = cache[f"blocks.{index}.attn.hook_pattern"][:, :, -1, 0]
        assert len(drawn.data) == 2
        for head, trace in enumerate(drawn.data):
            np.testing.assert_allclose(trace.z, pattern[:, head].detach().view(7, 7), atol=1e-6)
    assert drawn.data[0].z.min() >= 0.5


def test_rate_zero_looks_at_everything_fully():
    assert torch.tensor(attention_patterns(cosine_network(7, {2: 1.0})).data[0].z).eq(1).all()


def test_errors_at_the_door():
    with pytest.raises(ActivationError, match="attention in 2 layers, there is no layer 2"):
        attention_patterns(mg.build_model(TASK, CFG, seed=0), 2)
    with pytest.raises(ActivationError, match="attention in 0 layers"):
        attention_patterns(pizza_network(7, {2: 1.0}))
