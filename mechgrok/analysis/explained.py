"""Share of the logits explained by the key frequencies."""

from collections.abc import Iterable
from dataclasses import dataclass

from mechgrok.activations import Source, as_grid
from mechgrok.algebra.bases import Label
from mechgrok.analysis.by_answer import logits_by_answer
from mechgrok.analysis.centring import Centre, logit_power, rounding_power
from mechgrok.analysis.key_losses import check_keys
from mechgrok.analysis.projections import character_part, character_power
from mechgrok.door import door
from mechgrok.drawable import Drawable
from mechgrok.errors import ConfigError, UndefinedMetricError


@dataclass(frozen=True)
class LogitFVE(Drawable):
    """Fraction of the variance of the logits that the key blocks explain, individually and together.

    Attributes:
        fraction: for all keys together, 0..1; also `float(result)`.
        per_key: for each key alone; if all answers are equally frequent they add up to `fraction`.
        centre: what the variance is measured around, which strongly affects the number.
    """

    fraction: float
    per_key: dict[Label, float]
    centre: Centre

    def __float__(self) -> float:
        return self.fraction


@door
def logit_fve(source: Source, keys: Iterable[Label], *, centre: Centre = "class") -> LogitFVE:
    """Fraction of logit variance along chi(a∘b∘c^-1) of the keys, on Z_p along cos(w_k(a+b-c)).

    Args:
        centre: "class" subtracts from the logits of each input their mean over the classes, which no loss can
            see; "double" also subtracts the mean over the inputs; "none" uses the raw squares. The same network
            can give 0.79, 0.88 and 0.02, respectively.

    Raises:
        ConfigError: a key or a centring that does not exist.
        UndefinedMetricError: no keys; logits that do not vary.

    Source: Nanda et al. 2023, section 4.3 (95% there); Chughtai et al. 2023 ("percent logits explained").

    >>> from mechgrok.models.constructed import cosine_network
    >>> round(float(logit_fve(cosine_network(7, {1: 3.0, 2: 4.0}), [2])), 3)
    0.64
    """
    if centre not in ("class", "double", "none"):
        raise ConfigError(f"centre must be class, double or none; got {centre!r}")
    grid = as_grid(source, names=[])
    labels = check_keys(grid, keys)
    frame, means = grid.task.frame, logits_by_answer(grid)
    total = logit_power(grid, centre)
    if total <= rounding_power(grid.logits):
        raise UndefinedMetricError("the logits do not vary, so there is no variance to explain")
    power = dict(zip(frame.basis.labels, character_power(means, frame).tolist(), strict=True))
    per_key = {label: power[label] / total for label in labels}
    together = frame.counts @ character_part(means, frame, labels).square().sum(1)
    return LogitFVE(together.item() / total, per_key, centre)
