"""The protocol of Truong 2026: its loss, its optimizer, and its judgement of given delays."""

import pytest
import torch

import mechgrok as mg
from mechgrok.experiments import logit_scale2026 as module
from mechgrok.experiments.logit_scale2026 import Clamp, Tempered, _Delay


def test_the_temperature_divides_the_logits_and_nothing_else():
    dice = torch.Generator().manual_seed(0)
    logits = torch.randn(20, 7, generator=dice, dtype=torch.float64)
    labels = torch.randint(7, (20,), generator=dice)
    leaf = logits.clone().requires_grad_()
    expected = torch.nn.functional.cross_entropy(leaf / 1.7, labels)
    expected.backward()
    tempered = Tempered(1.7)
    loss, gradient = tempered.loss_and_gradient(logits.clone().float(), labels)
    assert loss.item() == pytest.approx(expected.item(), rel=1e-5)
    assert leaf.grad is not None
    assert torch.allclose(gradient.double(), leaf.grad, rtol=1e-4, atol=1e-7)
    assert tempered.losses(logits, labels).mean().item() == pytest.approx(expected.item())


def norm_of(model: mg.HookedNetwork) -> float:
    return sum(w.detach().double().square().sum().item() for w in model.parameters() if w.ndim > 1) ** 0.5


def test_the_norm_of_the_matrices_is_held(monkeypatch):
    monkeypatch.setattr(module, "HELD_FROM", 3)
    before = set(mg.OPTIMIZERS), set(mg.OBJECTIVES)
    with module._registered(Clamp(0.5, 1.3)) as names:
        run = mg.train(
            mg.modular_task("add", 7), module.SETUP, **names, steps=5, checkpoint_every=1, progress=False
        )
        norms = [norm_of(run.model(step)) for step in range(6)]
    held = 0.5 * module.CRITICAL_NORM
    assert norms[3:] == pytest.approx([held] * 3, rel=1e-5)
    assert norms[2] != pytest.approx(held, rel=0.01)
    assert (set(mg.OPTIMIZERS), set(mg.OBJECTIVES)) == before
    groups = run.parameter_groups[names["optimizer"]]
    assert "blocks.0.mlp.b_in" in str(groups)


def told(times: list[int | None], margins: list[float]) -> dict[Clamp, _Delay]:
    history = [{"step": 0, "accuracy_test": 0.0}, {"step": 100, "accuracy_test": 1.0}]
    cells = [Clamp(1.0, 1.0), *(Clamp(1.1, t) for t in (1.0, 1.15, 1.3, 1.5))]
    return {
        cell: _Delay(history, 150, time, margin, margin)
        for cell, time, margin in zip(cells, times, margins, strict=True)
    }


def failed(found: dict[Clamp, _Delay]) -> set[str]:
    return {row.quantity for row in module._rows(found, 0, False) if row.bounded and not row.holds}


def test_a_delay_that_follows_the_margin_alone_is_recovered():
    found = told([4000, 9000, 7000, 5000, 4000], [8.0, 12.0, 10.0, 8.5, 7.5])
    assert failed(found) == set()
    base, *raised = found.values()
    # At the margin 8, half way between the two last temperatures.
    assert module._recovered(base, raised, "margin") == pytest.approx((9000 - 4500) / 5000)
    curves = list(module._delays(found, 0))
    assert curves[-2].x == (7.5, 8.5, 10.0, 12.0)


def test_a_delay_that_follows_the_norm_alone_is_not():
    wrong = failed(told([4000, 9000, 9000, 9000, 9000], [8.0, 12.0, 10.0, 8.5, 7.5]))
    assert "share of the delay that the same margin on train inputs recovers, seed 0" in wrong
    assert "temperatures at which the delay is not shorter than before, seed 0" in wrong
    assert "delay at the highest temperature over that at the critical norm, seed 0" in wrong


def test_what_never_groks_is_said():
    wrong = failed(told([4000, None, None, None, None], [8.0, 12.0, 10.0, 8.5, 7.5]))
    assert "delay at the raised norm over that at the critical one, seed 0" in wrong
