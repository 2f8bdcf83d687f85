"""One network at a glance."""

import plotly.graph_objects as go

from mechgrok.measures.summary import Summary
from mechgrok.plots.ablations import ablation_effects
from mechgrok.plots.logits import key_evidence
from mechgrok.plots.neurons import cluster_sizes
from mechgrok.plots.panels import in_panels
from mechgrok.plots.theme import plain


def summary_figure(summary: Summary) -> go.Figure:
    """The keys, the neurons on each, and the effect of removing them, as panels; missing parts are left out.

    >>> from mechgrok import summarize
    >>> from mechgrok.models.constructed import cosine_network
    >>> drawn = summary_figure(summarize(cosine_network(7, {2: 9.0})))
    >>> [note.text for note in drawn.layout.annotations][:2]
    ["Share of the logits' variance per frequency", 'Neurons per frequency']
    """
    panels = [key_evidence(summary.keys, summary.what)]
    if summary.neurons is not None:
        panels.append(cluster_sizes(summary.neurons, summary.what))
    if summary.ablations:
        panels.append(ablation_effects(summary.ablations, n_classes=summary.values["n_classes"]))
    drawn = in_panels(panels, columns=1)
    title = {"text": f"{plain(summary.task)}: {plain(summary.answer)}", "pad": {"b": 34}}
    drawn.update_layout(margin={"t": 70}, title=title)
    return drawn
