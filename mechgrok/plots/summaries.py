"""One network at a glance."""

import plotly.graph_objects as go

from mechgrok.measures.summary import Summary
from mechgrok.plots.ablations import ablation_effects
from mechgrok.plots.heads import head_map
from mechgrok.plots.logits import key_evidence
from mechgrok.plots.neurons import cluster_sizes
from mechgrok.plots.panels import in_panels
from mechgrok.plots.positions import position_bars
from mechgrok.plots.theme import plain


def summary_figure(summary: Summary) -> go.Figure:
    """The keys, the neurons on each, and the effect of removing them, as panels; missing parts are left out.

    Of a network on sequences in no group it is the loss of each position and the scores of its heads.

    >>> from mechgrok import summarize
    >>> from mechgrok.models.constructed import cosine_network
    >>> drawn = summary_figure(summarize(cosine_network(7, {2: 9.0})))
    >>> [note.text for note in drawn.layout.annotations][:2]
    ["Share of the logits' variance per frequency", 'Neurons per frequency']
    """
    seen = summary.sequence
    panels = [] if seen.positions is None else [position_bars(seen.positions)]
    if seen.heads is not None:
        panels += [head_map(seen.heads, name) for name in seen.heads.defined]
    if not panels or not summary.keys.no_group:
        panels.append(key_evidence(summary.keys, summary.what))
    if summary.neurons is not None:
        panels.append(cluster_sizes(summary.neurons, summary.what))
    if summary.ablations:
        panels.append(ablation_effects(summary.ablations, n_classes=summary.values["n_classes"]))
    drawn = in_panels(panels, columns=1)
    title = {"text": f"{plain(summary.task)}: {plain(summary.answer)}", "pad": {"b": 34}}
    drawn.update_layout(margin={"t": 70}, title=title)
    return drawn
