// Draws the figures into the room that CSS has reserved for each: those in sight first, the others in between.
const Figures = (() => {
  const figures = JSON.parse(document.getElementById("figures").textContent);
  const touch = window.matchMedia("(pointer: coarse)").matches;
  const config = { displayModeBar: false, showTips: false };
  const LABEL = { xaxis: 20, yaxis: 14 }; // pixels that a tick label needs
  const LETTER = 6.5; // pixels of one letter across
  const MOST_NAMED = 4; // labels that share a tick and are all named
  const MARGINS = 80;
  const USABLE = 60; // a page that is taking a picture of itself passes through widths of a few pixels
  let checkpoint = { frame: -1, step: null };

  // Bytes of a moving attribute as numbers; done once.
  function unpacked(part) {
    if (part.values) return part.values;
    const bytes = Uint8Array.from(atob(part.frames), (letter) => letter.charCodeAt(0));
    if (part.kind === "float32") return (part.values = new Float32Array(bytes.buffer));
    const scale = Float32Array.from({ length: 256 }, (_, i) => part.low + (part.high - part.low) * (i / 255) ** part.power);
    return (part.values = Float32Array.from(bytes, (level) => scale[level]));
  }

  function valuesAt(part, frame) {
    if (part.kind === "text") return part.frames.at(frame);
    const all = unpacked(part);
    const size = part.shape.reduce((product, length) => product * length, 1);
    const start = frame < 0 ? all.length + frame * size : frame * size;
    const values = all.subarray(start, start + size);
    if (part.shape.length === 1) return values;
    const [rows, columns] = part.shape;
    return Array.from({ length: rows }, (_, i) => values.subarray(i * columns, (i + 1) * columns));
  }

  function dataAt({ data, moving }, frame) {
    if (!moving.length) return data;
    const traces = data.map((trace) => ({ ...trace }));
    for (const part of moving) traces[part.trace][part.attribute] = valuesAt(part, frame);
    return traces;
  }

  // The line that marks the step, where a figure has one.
  function shapesAt(shapes, step) {
    return shapes?.map((shape) => (shape.name === "position" && step !== null ? { ...shape, x0: step, x1: step } : shape));
  }

  const hasPosition = ({ layout }) => layout.shapes?.some((shape) => shape.name === "position");
  const moves = (figure) => figure.moving.length > 0 || hasPosition(figure);

  // Tick labels that would overlap share one tick, "27, 29": where the labels are given, plotly lets them overlap.
  function merged(name, axis, pixels) {
    if (!axis?.tickvals || !axis.range) return axis;
    const perUnit = (pixels - MARGINS) / (axis.range[1] - axis.range[0]);
    const groups = [];
    axis.tickvals.forEach((value, i) => {
      const near = groups.at(-1);
      const letters = near && name === "xaxis" ? near.texts.join(", ").length : 0;
      const needed = Math.max(LABEL[name], LETTER * letters);
      if (near && (value - near.values.at(-1)) * perUnit < needed) {
        near.values.push(value);
        near.texts.push(axis.ticktext[i]);
      } else groups.push({ values: [value], texts: [axis.ticktext[i]] });
    });
    const mean = (values) => values.reduce((sum, value) => sum + value, 0) / values.length;
    const text = ({ texts }) => (texts.length <= MOST_NAMED ? texts.join(", ") : `${texts[0]} … ${texts.at(-1)}`);
    return { ...axis, tickvals: groups.map(({ values }) => mean(values)), ticktext: groups.map(text) };
  }

  function draw(place) {
    const figure = figures[place.dataset.figure];
    const { layout } = figure;
    const { clientWidth: width, clientHeight: height } = place;
    place.dataset.width = width;
    return Plotly.react(
      place,
      dataAt(figure, checkpoint.frame),
      {
        ...layout,
        width,
        height,
        shapes: shapesAt(layout.shapes, checkpoint.step),
        xaxis: merged("xaxis", layout.xaxis, width),
        yaxis: merged("yaxis", layout.yaxis, height),
        uirevision: "zoom stays",
        // With a mouse a drag zooms and a double click goes back; on a touch screen it scrolls the page.
        dragmode: touch ? false : "zoom",
      },
      config,
    ).then(() => scaleOnPaper(place, width, height));
  }

  // Lets the drawing be scaled as a whole, by the style sheet for paper.
  function scaleOnPaper(place, width, height) {
    place.style.setProperty("--ratio", `${width} / ${height}`);
    for (const svg of place.querySelectorAll(".main-svg")) svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
  }

  // Places that wait to be drawn, the longest waiting first.
  const waiting = new Set();
  let drawing = false;

  function inSight(place) {
    const { top, bottom } = place.getBoundingClientRect();
    return bottom > 0 && top < window.innerHeight;
  }

  const breath = () => new Promise((done) => setTimeout(done, 0));

  async function drawWaiting(places) {
    for (const place of places) waiting.add(place);
    if (drawing) return;
    drawing = true;
    delete document.documentElement.dataset.drawn;
    while (waiting.size) {
      const place = [...waiting].find(inSight) ?? waiting.values().next().value;
      waiting.delete(place);
      await draw(place);
      resized.observe(place);
      await breath();
    }
    drawing = false;
    document.documentElement.dataset.drawn = "all";
  }

  const resized = new ResizeObserver((changes) => {
    const places = changes.map(({ target }) => target);
    drawWaiting(places.filter((p) => p.clientWidth >= USABLE && p.clientWidth !== Number(p.dataset.width)));
  });

  const places = [...document.querySelectorAll(".plot")];
  drawWaiting(places);

  return {
    // Shows a checkpoint in all figures that change with it.
    show(frame, step) {
      checkpoint = { frame, step };
      return drawWaiting(places.filter((place) => moves(figures[place.dataset.figure])));
    },
    // Whether all that is in sight shows the newest checkpoint.
    settled: () => ![...waiting].some(inSight),
  };
})();
