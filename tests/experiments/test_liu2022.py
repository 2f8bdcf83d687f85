"""The toy model of Liu et al. 2022 against torch's own optimizers, and the judgement of given courses."""

import pytest
import torch

from mechgrok.experiments import liu2022 as module
from mechgrok.experiments.liu2022 import OUTPUTS, PAIRS, Course, DecoderSetting, P, train_toys

SETTINGS = [
    DecoderSetting(45, 0, lr=1e-3, decay=0.5, width=8),
    DecoderSetting(45, 1, lr=1e-2, decay=0.0, width=8),
]


def alone(one: DecoderSetting, steps: int) -> tuple[torch.Tensor, torch.Tensor]:
    """The embedding and the outputs of a toy model that torch trains."""
    train, templates, start = module._start(one)
    net = torch.nn.Sequential(
        torch.nn.Linear(1, one.width),
        torch.nn.Tanh(),
        torch.nn.Linear(one.width, one.width),
        torch.nn.Tanh(),
        torch.nn.Linear(one.width, OUTPUTS),
    )
    for i, layer in enumerate(net[::2]):
        assert isinstance(layer, torch.nn.Linear)
        layer.weight.data, layer.bias.data = start[f"W_{i}"].T.clone(), start[f"b_{i}"][0].clone()
    embedding = torch.nn.Parameter(start["embedding"].clone())
    optimizers = (
        torch.optim.Adam([embedding], lr=one.embedding_lr),
        torch.optim.AdamW(net.parameters(), lr=one.lr, weight_decay=one.decay),
    )
    targets = templates[PAIRS.result]

    def outputs() -> torch.Tensor:
        return net((embedding[PAIRS.first] + embedding[PAIRS.second])[:, None])

    for _ in range(steps):
        for optimizer in optimizers:
            optimizer.zero_grad()
        (outputs() - targets)[train].square().mean().backward()
        for optimizer in optimizers:
            optimizer.step()
    return embedding.detach(), torch.cdist(outputs().detach(), templates).argmin(1) == PAIRS.result


def test_a_stack_is_what_each_member_would_be_alone():
    courses = train_toys(SETTINGS, 30, 10)
    for course, one in zip(courses, SETTINGS, strict=True):
        embedding, right = alone(one, 30)
        assert course.steps == [0, 10, 20, 30]
        assert torch.allclose(course.embeddings[-1], embedding, atol=1e-4)
        assert course.accuracy_train[-1] == pytest.approx(
            right[course.train].double().mean().item(), abs=0.05
        )
        assert course.accuracy_test[-1] == pytest.approx(
            right[~course.train].double().mean().item(), abs=0.11
        )
        assert int(course.train.sum()) == 45


def test_the_embedding_alone_can_be_held():
    course = train_toys([DecoderSetting(embedding_lr=0.0, width=8)], 5, 5)[0]
    assert torch.equal(course.embeddings[0], course.embeddings[-1])
    assert course.embeddings[0].abs().max() <= 0.5


def told(embedding: torch.Tensor, accuracy_test: float, n_train: int = 45, seed: int = 0) -> Course:
    """A toy model that was random first, and is this one after 800 steps."""
    one = DecoderSetting(n_train, seed)
    train = module._start(one)[0]
    random = torch.rand(P, generator=torch.Generator().manual_seed(seed))
    return Course(one, train, [0, 800], [0.1, 1.0], [0.1, accuracy_test], [random, embedding])


def failed(rows) -> set[str]:
    return {row.quantity for row in rows if row.bounded and not row.holds}


def test_lines_that_generalise_hold():
    line = torch.arange(P) / 10
    courses = {
        54: [told(line, 1.0, 54)],
        45: [told(line, 1.0)],
        30: [told(line, 1.0, 30)],
    }
    assert failed(module._steps(courses)) == set()
    random = told(torch.rand(P, generator=torch.Generator().manual_seed(5)), 0.1)
    assert failed(module._accuracies([courses[45][0], random])) == set()


def test_accuracy_without_parallelograms_does_not():
    random = told(torch.rand(P, generator=torch.Generator().manual_seed(5)), 1.0)
    wrong = failed(module._accuracies([random]))
    assert "mean difference of accuracy over all pairs and predicted accuracy" in wrong
    assert "highest test accuracy with an RQI below 0.5" in wrong
    lines = told(torch.arange(P) / 10, 0.2)
    assert "lowest test accuracy with an RQI above 0.95" in failed(module._accuracies([lines]))
    assert failed(module._steps({45: [random]})) == {
        "steps to an RQI above 0.95, 45 train pairs",
        "steps over n_h, 45 train pairs",
    }


def test_the_critical_size_is_that_of_the_paper():
    (row,) = module._critical(draws=30)
    assert row.holds


def test_phases_have_to_occur_and_to_leave_fast_decoders():
    lrs, decays = (1e-4, 1e-2), (0.0, 1.0, 10.0)
    kinds = dict(
        zip(
            [(lr, decay) for lr in lrs for decay in decays],
            ["grokking", "comprehension", "confusion", "memorisation", "memorisation", "confusion"],
            strict=True,
        )
    )
    rows = {row.quantity: row for row in module._phases(kinds, lrs, decays)}
    assert failed(rows.values()) == set()
    assert rows["networks that generalise at the slowest decoder less those at the fastest"].measured == 2
    turned = {(lrs[1 - lrs.index(lr)], decay): kind for (lr, decay), kind in kinds.items()}
    assert failed(module._phases(turned, lrs, decays)) == {
        "networks that generalise at the slowest decoder less those at the fastest"
    }
    assert len(failed(module._phases(dict.fromkeys(kinds, "confusion"), lrs, decays))) == 4
