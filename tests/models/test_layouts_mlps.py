"""Other people's feed-forward networks, against their own forward pass."""

from itertools import pairwise

import pytest
import torch
from torch import Tensor, nn

import mechgrok as mg
from mechgrok.config import MLPConfig
from mechgrok.errors import CheckpointError
from mechgrok.models.layouts import model_from_tensors

P = 7
EMBEDDINGS = ("emb0.weight", "emb1.weight", "emb2.weight")
RELU = MLPConfig(act_fn="relu")
TOKENS = torch.cartesian_prod(torch.arange(P), torch.arange(P))


def draw(*shape: int, seed: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed)) / shape[-1] ** 0.5


def check(tensors: dict[str, Tensor], expected: Tensor, what: str, config: MLPConfig | None = None) -> None:
    model = model_from_tensors(tensors, config=config or RELU)
    assert what in model.layout
    torch.testing.assert_close(model(TOKENS)[:, -1], expected, rtol=1e-5, atol=1e-5)


def test_chughtai():
    w = {
        "W_x": draw(P, 6, seed=0),
        "W_y": draw(P, 6, seed=1),
        "W": draw(12, 9, seed=2),
        "W_U": draw(9, P, seed=3),
    }
    x = torch.cat([w["W_x"][TOKENS[:, 0]], w["W_y"][TOKENS[:, 1]]], dim=1)
    check(w, (x @ w["W"]).relu() @ w["W_U"], "MLP of Chughtai")


def test_the_bilinear_network_is_refused_with_the_reason():
    w = {"W_x": draw(P, 6, seed=0), "W_y": draw(P, 6, seed=1), "W_U": draw(6, P, seed=3)}
    with pytest.raises(CheckpointError, match="bilinear network, which multiplies the embeddings"):
        model_from_tensors(w)


class Embedded(nn.Module):
    """An embedding and linear layers, as in scienceetonnante/grokking and many a notebook."""

    def __init__(self, combine: str, hidden: int, *, second: bool = False, bias: bool = True) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.embedding = nn.Embedding(P, 6)
        self.embedding_b = nn.Embedding(P, 6) if second else None
        widths = [12 if combine == "cat" else 6, *[9] * hidden]
        self.layers = nn.ModuleList(nn.Linear(m, n, bias=bias) for m, n in pairwise(widths))
        self.out = nn.Linear(9, P, bias=bias)
        self.combine = combine

    def forward(self, tokens: Tensor) -> Tensor:
        a, b = self.embedding(tokens[:, 0]), (self.embedding_b or self.embedding)(tokens[:, 1])
        x = torch.cat([a, b], dim=1) if self.combine == "cat" else a + b
        for layer in self.layers:
            x = layer(x).relu()
        return self.out(x)


@pytest.fixture(autouse=True)
def _keep_the_generator():
    state = torch.get_rng_state()
    yield
    torch.set_rng_state(state)


@pytest.mark.parametrize("combine", ["cat", "sum"])
@pytest.mark.parametrize("hidden", [1, 2, 3])
@pytest.mark.parametrize("options", [{}, {"second": True}, {"bias": False}])
def test_embedding_and_linear_layers(combine: str, hidden: int, options: dict):
    network = Embedded(combine, hidden, **options)
    check(network.state_dict(), network(TOKENS).detach(), "torch modules")


def test_sequential_names_are_ordered_by_their_numbers():
    torch.manual_seed(1)
    linear = [
        nn.Linear(12, 9),
        nn.ReLU(),
        *[m for _ in range(5) for m in (nn.Linear(9, 9), nn.ReLU())],
        nn.Linear(9, P),
    ]
    net, embedding = nn.Sequential(*linear), nn.Embedding(P, 6)
    tensors = {f"net.{name}": t for name, t in net.state_dict().items()} | {
        "emb.weight": embedding.weight.detach()
    }
    assert "net.10.weight" in tensors
    check(tensors, net(embedding(TOKENS).flatten(1)).detach(), "torch modules")


@pytest.mark.parametrize("width", [P, 2 * P])
def test_one_hot_inputs(width: int):
    torch.manual_seed(2)
    net = nn.Sequential(nn.Linear(width, 9), nn.ReLU(), nn.Linear(9, P, bias=False))
    one_hot = nn.functional.one_hot(TOKENS, P).float()
    x = one_hot.sum(1) if width == P else one_hot.flatten(1)
    check(dict(net.state_dict()), net(x).detach(), "torch modules")


def test_the_activation_can_be_told():
    net = nn.Sequential(nn.Linear(2 * P, 9, bias=False), nn.Linear(9, P, bias=False))
    hidden = net[0](nn.functional.one_hot(TOKENS, P).float().flatten(1))
    expected = net[1](hidden.square()).detach()
    check(dict(net.state_dict()), expected, "torch modules", config=MLPConfig(act_fn="square"))


@pytest.mark.parametrize(
    ("shapes", "text"),
    [
        ({"emb.weight": (P, 6), "fc1.weight": (9, 18), "fc2.weight": (P, 9)}, "takes 18 inputs, which are neither"),
        ({"fc1.weight": (9, 20), "fc2.weight": (P, 9)}, "neither the 7 symbols nor twice as many"),
        ({"emb.weight": (P, 6), "a.weight": (9, 6), "b.weight": (8, 9), "c.weight": (P, 8)}, r"width: \[8, 9\]"),
        (dict.fromkeys(EMBEDDINGS, (P, 6)) | {"a.weight": (9, 6), "b.weight": (P, 9)}, "one for each of two"),
    ],
)  # fmt: skip
def test_what_cannot_be_represented_is_refused(shapes: dict, text: str):
    with pytest.raises(CheckpointError, match=text):
        model_from_tensors({name: torch.zeros(shape) for name, shape in shapes.items()}, config=RELU)


def test_whole_analysis_of_a_one_hot_network_with_gromovs_weights():
    """Gromov's analytic solution as it is usually stored: two matrices, one-hot inputs side by side, squares."""
    p, n = 23, 200
    g = torch.Generator().manual_seed(0)
    k = 1 + torch.arange(n) % (p // 2)
    f, h = 2 * torch.pi * torch.rand(2, n, generator=g)
    x = 2 * torch.pi / p * torch.outer(k.float(), torch.arange(p).float())
    tensors = {
        "fc1.weight": torch.cat([(x + f[:, None]).cos(), (x + h[:, None]).cos()], dim=1),
        "fc2.weight": (x + (f + h)[:, None]).cos().T.contiguous(),
    }
    model = model_from_tensors(tensors, config=MLPConfig(act_fn="square"))
    grid = mg.cache_grid(model)
    assert (grid.task.name, mg.accuracy(grid)) == ("add23", 1.0)
    assert mg.find_key_frequencies(grid).frequencies == tuple(range(1, p // 2 + 1))
    assert torch.equal(mg.neuron_frequencies(grid).frequency, k)
