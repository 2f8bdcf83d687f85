// Draws the figures one after the other, after the text, into the room that CSS has reserved for each.
(() => {
  const figures = JSON.parse(document.getElementById("figures").textContent);
  const touch = window.matchMedia("(pointer: coarse)").matches;
  const config = { displayModeBar: false, showTips: false };
  const LABEL = { xaxis: 20, yaxis: 14 }; // pixels that a tick label needs
  const MARGINS = 80;
  const USABLE = 120; // a page that is taking a picture of itself passes through widths of a few pixels

  // Leaves out tick labels that would overlap: where the labels are given, plotly does not.
  function thinned(name, axis, pixels) {
    if (!axis?.tickvals || !axis.range) return axis;
    const perUnit = (pixels - MARGINS) / (axis.range[1] - axis.range[0]);
    let last = -Infinity;
    const ticktext = axis.tickvals.map((value, i) => {
      if ((value - last) * perUnit < LABEL[name]) return "";
      last = value;
      return axis.ticktext[i];
    });
    return { ...axis, ticktext };
  }

  function draw(place) {
    const { data, layout } = figures[place.dataset.figure];
    const { clientWidth: width, clientHeight: height } = place;
    place.dataset.width = width;
    return Plotly.react(
      place,
      data,
      {
        ...layout,
        width,
        height,
        xaxis: thinned("xaxis", layout.xaxis, width),
        yaxis: thinned("yaxis", layout.yaxis, height),
        // With a mouse a drag zooms and a double click goes back; on a touch screen it scrolls the page.
        dragmode: touch ? false : "zoom",
      },
      config,
    );
  }

  const resized = new ResizeObserver((changes) => {
    for (const { target } of changes) {
      if (target.clientWidth >= USABLE && target.clientWidth !== Number(target.dataset.width)) draw(target);
    }
  });

  async function drawAll() {
    for (const place of document.querySelectorAll(".plot")) {
      await draw(place);
      resized.observe(place);
      await new Promise((done) => setTimeout(done, 0));
    }
    document.documentElement.dataset.drawn = "all";
  }

  drawAll();
})();
