"""The study of sparsity over training."""

import mechgrok as mg
from mechgrok.experiments.furuta2024 import sparsity_over_training


def test_sparsity_over_training_in_both_bases():
    run = mg.train(
        mg.modular_task("mul", 13), steps=300, fraction=0.8, checkpoint_every=100, progress=False,
        model=mg.ModelConfig(d_model=16, n_heads=2), stop_when_settled=False,
    )  # fmt: skip
    own = sparsity_over_training(run)
    assert [row["step"] for row in own] == [0, 100, 200, 300]
    for row in own:
        model = run.model(int(row["step"]))
        assert row["ffd"] == mg.fourier_frequency_density(model)
        assert row["fcr"] == mg.fourier_coefficient_ratio(model)
    additive = sparsity_over_training(run, run.task.in_basis(mg.fourier_basis(13)))
    assert additive[-1]["ffd"] == mg.fourier_frequency_density(run.model().W_E[:13].detach())
    assert additive[-1]["ffd"] > own[-1]["ffd"], "a product is sparse in its own basis alone"
    of_readout = sparsity_over_training(run, matrix="W_L")
    assert of_readout[-1]["ffd"] == mg.fourier_frequency_density(run.model(), matrix="W_L")
