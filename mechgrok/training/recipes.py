"""Named training configurations: the papers' set-ups in full detail, and our own fast one."""

from mechgrok.config import DenseConfig, MLPConfig, ModelConfig, TrainConfig
from mechgrok.errors import ConfigError
from mechgrok.registry import Registry
from mechgrok.spelling import unknown

FAST = TrainConfig(
    recipe="fast",
    model=ModelConfig(),
    lr=1e-2,
    weight_decay=1.0,
    warmup=10,
    steps=2000,
    checkpoint_every=50,
)
"""Our own: the network of Nanda et al. with ten times the learning rate; groks in about 500 steps."""

NANDA = TrainConfig(
    recipe="nanda",
    model=ModelConfig(output="vocabulary", init="nanda"),
    sequence=("a", "b", "="),
    lr=1e-3,
    weight_decay=1.0,
    betas=(0.9, 0.98),
    warmup=10,
    steps=40_000,
    loss_dtype="float64",
)
"""Nanda et al. 2023, main experiment: the loss includes the logit of "="."""

DIGITS = TrainConfig(
    recipe="nanda-digits",
    model=ModelConfig(d_model=512, init="nanda"),
    lr=1e-4,
    weight_decay=0.1,
    betas=(0.9, 0.98),
    warmup=10,
    batch_size=64,
    steps=3000,
    stop_when_settled=False,
    loss_dtype="float64",
)
"""Nanda et al. 2023, addition of five-digit numbers, `digit_addition_task`; batch_size=0 for limited data."""

SKIP_TRIGRAM = TrainConfig(
    recipe="nanda-skip-trigram",
    model=ModelConfig(attn_only=True, n_heads=1, d_model=32, d_head=8, init="nanda"),
    lr=1e-3,
    weight_decay=0.1,
    betas=(0.9, 0.98),
    warmup=10,
    batch_size=256,
    steps=3000,
    stop_when_settled=False,
    loss_dtype="float64",
)
"""Nanda et al. 2023, `skip_trigram_task`: one attention layer with one head; batch_size=0 for limited data."""

INDUCTION = TrainConfig(
    recipe="nanda-induction",
    model=ModelConfig(attn_only=True, n_layers=2, d_model=48, d_head=12, init="nanda-heads"),
    lr=1e-3,
    weight_decay=1.0,
    betas=(0.9, 0.999),
    warmup=100,
    batch_size=128,
    steps=6000,
    stop_when_settled=False,
    loss_dtype="float64",
)
"""Nanda et al. 2023, `repeated_sequence_task`: two attention layers.

Their blocks double the residual stream, x -> 2x + attention(x); ours add to it."""

PIZZA = TrainConfig(
    recipe="pizza",
    model=ModelConfig(attention_dir="bidirectional", attention_rate=0.0, init="pizza"),
    sequence=("a", "b"),
    fraction=0.8,
    split_rule="randperm",
    lr=1e-3,
    weight_decay=2.0,
    steps=20_000,
    stop_when_settled=False,
    loss_dtype="float64",
)
"""Zhong et al. 2023, Model A: attention rate 0, two tokens, p = 59, no "=".

The run continues after settling: with full attention, loss and norm hardly change any more from step 2000 on,
but it takes until step 8000 for the circles of a pizza to become those of a clock."""

CLOCK = PIZZA.replace(recipe="clock", model=PIZZA.model.replace(attention_rate=1.0))
"""Zhong et al. 2023, Model B: the same with full attention."""

ALPHA = PIZZA.replace(recipe="alpha", model=MLPConfig(), betas=(0.9, 0.999), warmup=0)
"""Zhong et al. 2023, the linear models, also p = 59: relu(L1(E_a + E_b)), followed by the logits."""

ALPHA_PRIME = ALPHA.replace(recipe="alpha-prime", model=MLPConfig(embeddings="separate"))
"""The same with a separate embedding for each operand."""

BETA = ALPHA.replace(recipe="beta", model=MLPConfig(n_layers=2))
"""A second hidden layer: relu(L2 relu(L1(E_a + E_b)))."""

GAMMA = ALPHA.replace(recipe="gamma", model=MLPConfig(n_layers=2, bias_per_operand=True))
"""The same with the first layer applied to each operand, so that its bias counts twice."""

DELTA = ALPHA.replace(recipe="delta", model=MLPConfig(combine="concat", d_embed=128))
"""The embeddings concatenated: relu(L1[E_a; E_b])."""

FURUTA = TrainConfig(
    recipe="furuta",
    model=ModelConfig(output="vocabulary", positions="none", mlp_bias=False, init="furuta"),
    sequence=("a", "op", "b"),
    lr=1e-3,
    weight_decay=1.0,
    warmup=0,
    steps=100_000,
    loss_dtype="float64",
)
"""Furuta et al. 2024: the operator between the operands; no positions, biases or warm-up; p = 97.

The vocabulary, over which the loss is taken, has the p numbers and the operator; theirs has all five symbols."""

POWER = TrainConfig(
    recipe="power",
    model=ModelConfig(n_layers=2, normalization="LN", mlp_bias=False, output="vocabulary", init="tl"),
    sequence=("a", "op", "b", "="),
    fraction=0.5,
    lr=1e-3,
    weight_decay=1.0,
    batch_size=512,
    steps=100_000,
)
"""Power et al. 2022: two layers without biases, batches of 512; only the answer is predicted.

Ours has LayerNorm before attention and MLP, learned positions and TransformerLens's initial weights; theirs has
LayerNorm after each of them, sinusoids and the initial weights of torch's layers. With fewer than 1024 train inputs,
theirs uses batches of half of them."""

CHUGHTAI = TrainConfig(
    recipe="chughtai",
    model=ModelConfig(attn_bias=True, unembed_bias=True, init="tl"),
    sequence=("a", "b", "="),
    fraction=0.6,
    split_rule="randperm",
    lr=1e-3,
    weight_decay=1.0,
    warmup=0,
    steps=50_000,
    loss_dtype="float64",
)
"""Chughtai et al. 2023, the transformer for S5: TransformerLens's own network, including biases."""


PAIR = TrainConfig(
    recipe="pair",
    model=MLPConfig(d_embed=500, d_mlp=24, mlp_bias=False, readout="tied", init="pair"),
    fraction=0.4,
    split_rule="unordered",
    lr=1e-3,
    weight_decay=1.0,
    warmup=0,
    steps=50_000,
    stop_when_settled=False,
    loss_dtype="float64",
    loss_scale=1 / 67,
    eval_every=100,
    checkpoint_every=500,
)
"""Pearce et al. 2023, the MLP for addition mod 67: 24 neurons without biases, between an embedding in 500 dimensions
and its transpose.

The loss is the mean over inputs and classes, that is, divided by 67; with AdamW this matters only if gradients come
close to `eps`. Theirs counts each pair once; ours has (a, b) and (b, a), and so pairs (a, a) with half the weight."""

PAIR_UNFACTORED = PAIR.replace(
    recipe="pair-unfactored", model=PAIR.model.replace(inputs="one_hot", readout="direct", d_embed=0)
)
"""The same with W_input [67, 24] and W_output [24, 67] trained directly, which does not generalise."""

PAIR_CIRCLE = PAIR.replace(
    recipe="pair-circle",
    model=PAIR.model.replace(d_embed=2, d_mlp=5, init="pair_circle"),
    fraction=0.3,
    lr=1e-2,
    weight_decay=1e-3,
    steps=15_000,
    frozen=("embed",),
    eval_every=30,
)
"""Pearce et al. 2023, five neurons on a fixed circle."""

PAIR_PARITY = TrainConfig(
    recipe="pair-parity",
    model=DenseConfig(inputs="number", d_mlp=64, init="pair"),
    fraction=0.2,
    lr=3e-3,
    weight_decay=0.3,
    betas=(0.99, 0.98),
    warmup=0,
    steps=20_000,
    stop_when_settled=False,
    eval_every=100,
    checkpoint_every=500,
)
"""Pearce et al. 2023, the "1s and 0s" task of their sweep: AdamW and one hidden layer on the bits as numbers.

The fraction is 1250 of 6250 samples, `parity_task(n_samples=6250)`; weight decay and width are one pair of the values
in their sweep. The use of biases and the initial weights are not published; ours has biases, and the same initial
weights as their other networks."""

SCIENCEETONNANTE = TrainConfig(
    recipe="scienceetonnante",
    model=MLPConfig(combine="concat", d_embed=128, d_mlp=256, unembed_bias=True, init="xavier"),
    sequence=("a", "b"),
    fraction=0.5,
    batch_size=64,
    lr=3e-4,
    weight_decay=1.0,
    betas=(0.9, 0.999),
    warmup=0,
    steps=440_000,
    stop_when_settled=False,
    eval_every=220,
    checkpoint_every=1100,
)
"""scienceetonnante 2023, for addition mod 53: concatenated embeddings, one hidden layer, and batches of 64.

An epoch over its 1404 train inputs has 22 steps: 20,000 epochs, an evaluation every 10 and a checkpoint every 50."""

GROMOV = TrainConfig(
    recipe="gromov",
    model=MLPConfig(
        inputs="one_hot", embeddings="separate", d_mlp=500, act_fn="square", mlp_bias=False, init="gromov"
    ),
    sequence=("a", "b"),
    fraction=0.5,
    objective="mse",
    optimizer="sgd",
    lr=50.0,
    weight_decay=0.0,
    warmup=0,
    steps=100_000,
    stop_when_settled=False,
    eval_every=50,
    checkpoint_every=1000,
)
"""Gromov 2023, for addition mod 97: squares, the squared error, and gradient descent on all train inputs at once,
without weight decay.

His network is W_2 (W_1 x)^2 / (2 p d_mlp) with weights of variance 1; ours has the factor in its initial weights, which
gives the same function and divides the learning rate by (2 p d_mlp)^(2/3). The paper states neither learning rate nor
width of this run; at 50, about 1e5 in his terms, a network of 500 neurons takes as many steps as in his figure."""


OURS = (
    *(FAST, NANDA, PIZZA, CLOCK, ALPHA, ALPHA_PRIME, BETA, GAMMA, DELTA, FURUTA, POWER, CHUGHTAI),
    *(PAIR, PAIR_UNFACTORED, PAIR_CIRCLE, PAIR_PARITY),
    *(SCIENCEETONNANTE, GROMOV),
    *(DIGITS, SKIP_TRIGRAM, INDUCTION),
)


class Recipes(Registry[TrainConfig]):
    """Configurations by name; each has its name as its `recipe`."""

    def register(self, name: str, thing: TrainConfig) -> TrainConfig:
        """Add a configuration under a name; the configuration added, and returned, has that name."""
        named = thing.replace(recipe=name) if isinstance(thing, TrainConfig) else thing
        return super().register(name, named)


RECIPES = Recipes(
    "recipe",
    tuple(config.recipe for config in OURS),
    of=TrainConfig,
    written_in=lambda config: __name__ if config in OURS else "",
)
"""All recipes by name: mechgrok's, then the user's."""

for _config in OURS:
    RECIPES.register(_config.recipe, _config)


def find_recipe(recipe: str | TrainConfig) -> TrainConfig:
    """The configuration with a name; a configuration is returned unchanged.

    Raises:
        ConfigError: no recipe has this name.
    """
    if isinstance(recipe, TrainConfig):
        return recipe
    if recipe not in RECIPES:
        raise ConfigError(f"{unknown('recipe', recipe, RECIPES)}, or a TrainConfig")
    return RECIPES[recipe]
