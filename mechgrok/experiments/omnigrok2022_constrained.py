"""Omnigrok (Liu et al. 2022): modular addition at four fifths of its initial norm generalises without delay."""

from collections.abc import Iterator, Mapping, Sequence

from mechgrok.analysis.curves import first_step
from mechgrok.config import ModelConfig
from mechgrok.experiments.held_norm import history_at_norm
from mechgrok.experiments.pictures import history_curve
from mechgrok.experiments.reproduction import Curve, Row
from mechgrok.experiments.trainings import train_kept
from mechgrok.runs import HistoryRow
from mechgrok.tasks import modular_task
from mechgrok.training.networks import build_model
from mechgrok.training.recipes import FAST

P = 113
TRANSFORMER = ModelConfig()
CONSTRAINED = FAST.replace(
    model=TRANSFORMER,
    recipe="omnigrok-constrained",
    steps=500,
    stop_when_settled=False,
    stop_test_loss=0.1,
    eval_every=5,
    checkpoint_every=500,
)
"""Addition on 30% of the pairs, at ten times the paper's learning rate."""
AT_LENGTH = CONSTRAINED.replace(lr=1e-3, steps=20_000, eval_every=20, checkpoint_every=20_000)
FREE, HELD, LARGE = "free", "norm held at 0.8", "norm held at 1.5"
TANGENT = "norm held at 0.8, tangent gradients"
TRAININGS = {HELD: (0.8, False), TANGENT: (0.8, True), LARGE: (1.5, False)}
"""Norms of the weights over the initial one, and whether gradients lose their part along the weights before Adam.

At the large norm networks memorise, which is the control."""
KNOWN = 0.9
"""Accuracy from which inputs count as known, train or test."""
Histories = Mapping[str, Sequence[HistoryRow]]


def constrained_norm(full: bool) -> Iterator[Row | Curve]:
    """Train with weight decay, and without it at two norms, and compare when train and test inputs are known."""
    task, recipe = modular_task("add", P), AT_LENGTH if full else CONSTRAINED
    for seed in range(5 if full else 3):
        network = build_model(task, TRANSFORMER, seed=seed)
        free = train_kept(task, recipe, seed=seed, start=network).history
        undecayed = recipe.replace(weight_decay=0.0)
        held = {
            name: history_at_norm(task, undecayed, network, alpha, tangent=tangent, seed=seed)
            for name, (alpha, tangent) in TRAININGS.items()
        }
        found = {FREE: free, **held}
        yield from constrained_rows(found, seed)
        if not seed:
            for name, history in found.items():
                yield history_curve("Train accuracy", name, history, "accuracy_train", y_title="accuracy")
            for name, history in found.items():
                yield history_curve("Test accuracy", name, history, "accuracy_test", y_title="accuracy")


def constrained_rows(found: Histories, seed: int) -> Iterator[Row]:
    """The delays of a free and of a constrained training, and the control."""
    known = {
        name: [first_step(history, f"accuracy_{which}", at_least=KNOWN) for which in ("train", "test")]
        for name, history in found.items()
    }
    bounds = {FREE: (4, None), HELD: (None, 2), TANGENT: (None, None)}
    for name in (FREE, HELD, TANGENT):
        train, test = known[name]
        yield Row(f"{name}: step of {KNOWN:z.0%} train accuracy, seed {seed}", None, train)
        yield Row(f"{name}: step of {KNOWN:z.0%} test accuracy, seed {seed}", None, test)
        ratio = test / train if train and test else None
        yield Row(
            f"{name}: step of the test over that of the train inputs, seed {seed}", None, ratio, *bounds[name]
        )
    delays = {name: test - train if train and test else None for name, (train, test) in known.items()}
    free, held = delays[FREE], delays[HELD]
    left = held / free if free and held is not None else None
    yield Row(f"share of the delay that is left at the held norm, seed {seed}", None, left, None, 0.2)
    for which, low, high in (("train", 1, None), ("test", None, 0.7)):
        last = found[LARGE][-1][f"accuracy_{which}"]
        yield Row(f"{LARGE}: {which} accuracy at the end, seed {seed}", None, last, low, high)
