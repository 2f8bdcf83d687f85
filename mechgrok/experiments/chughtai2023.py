"""Chughtai, Chan and Nanda 2023, A toy model of universality (arXiv 2302.03025)."""

from collections.abc import Iterator
from math import log

from mechgrok.analysis.frequencies import find_key_frequencies
from mechgrok.analysis.key_losses import excluded_loss, restricted_loss
from mechgrok.analysis.losses import full_loss
from mechgrok.analysis.representations import representation_measures
from mechgrok.config import MLPConfig
from mechgrok.experiments.reproduction import Row
from mechgrok.experiments.trainings import train_kept
from mechgrok.tasks import sn_task
from mechgrok.training.recipes import find_recipe

SETUP = find_recipe("chughtai").replace(
    recipe="chughtai-mlp",
    model=MLPConfig(
        embeddings="separate", combine="concat", d_embed=256, d_mlp=128, mlp_bias=False, init="fan_in"
    ),
    sequence=("a", "b"),
    fraction=0.4,
    steps=250_000,
    stop_when_settled=False,
    checkpoint_every=250_000,
    eval_every=100,
)
"""Their feed-forward network: concatenated embeddings of 256, 128 neurons, no biases, 40% of the pairs."""
PUBLISHED = {
    "test accuracy": 1.0,
    "key irreps": 2,
    "the sign is a key": 1,
    "share of the logits explained": 0.848,
    "share of the embedding in the keys": 1.0,
    "restricted loss at the neurons / test loss": 0.24,
    "excluded loss at the neurons, train (nats)": 7.59,
}
"""Values for the network with seed 2 that the authors published."""
QUICK = SETUP.replace(lr=1e-2, warmup=10, fraction=0.6, steps=2000, checkpoint_every=2000)


def composition(full: bool) -> Iterator[Row]:
    """Train their feed-forward network on S5 and measure what the paper measures."""
    for seed in range(1, 5 if full else 3):
        run = train_kept(sn_task("S5"), SETUP if full else QUICK, seed=seed)
        grid, training = run.grid(), run.split.train
        keys = find_key_frequencies(grid).frequencies
        measures = representation_measures(grid, keys, training)
        test = full_loss(grid, run.split.test)
        measured = {
            "test accuracy": (run.history[-1]["accuracy_test"], 0.99, None),
            "key irreps": (len(keys), 1, 4),
            "the sign is a key": (int("sign" in keys), 1, None),
            "share of the logits explained": (measures.logits_explained, 0.5, None),
            "share of the embedding in the keys": (sum(measures.embedding[key] for key in keys), 0.9, None),
            "restricted loss at the neurons / test loss": (measures.restricted_loss / test, None, 1),
            "excluded loss at the neurons, train (nats)": (measures.excluded_loss, log(120) / 2, None),
            "restricted loss (nats)": (restricted_loss(grid, keys), None, 0.01),
            "excluded loss, train (nats)": (excluded_loss(grid, keys, training), log(120) / 2, None),
        }
        for quantity, (value, low, high) in measured.items():
            yield Row(f"{quantity}, seed {seed}", PUBLISHED.get(quantity), value, low, high)
