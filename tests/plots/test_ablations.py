"""Before and after ablations."""

import pytest

import mechgrok as mg
from mechgrok.plots.ablations import ablation_effects, describe


def test_dots_are_the_losses_before_and_after():
    ablations = mg.summarize(mg.cosine_network(13, {2: 20.0, 6: 20.0})).ablations
    drawn = ablation_effects(ablations, n_classes=13)
    before, after = drawn.data[-2:]
    assert (before.name, after.name) == ("before", "after")
    losses = {describe(a): a.loss for a in ablations}
    assert dict(zip(after.y, after.x, strict=True)) == pytest.approx(losses)
    assert set(before.x) == {ablations[0].loss_before}
    assert after.y[:3] == ("remove, embedding", "remove, neurons", "remove, logits")
    assert drawn.layout.xaxis.title.text == "cross-entropy over all inputs (nats)"
    assert before.customdata[0] == "100.00%"


@pytest.mark.parametrize(
    ("component", "keep", "text"),
    [
        ("both", False, "remove, logits"),
        ("both", True, "keep only, logits"),
        ("cos", False, "remove cosine, logits"),
        ("sin", True, "keep sine only, logits"),
    ],
)
def test_descriptions(component, keep: bool, text: str):
    ablation = mg.ablate(mg.cosine_network(7, {2: 9.0}), [2], component, "logits", keep=keep)
    assert describe(ablation) == text


def test_no_ablation_no_figure():
    with pytest.raises(mg.UndefinedMetricError, match="no ablations to draw"):
        ablation_effects([])
