// The slider: one checkpoint for all figures, by mouse, touch, keyboard, or played.
(() => {
  const checkpoints = JSON.parse(document.getElementById("checkpoints").textContent);
  if (!checkpoints) return;
  const PAUSE = 150; // milliseconds between two checkpoints that are played
  const slider = document.getElementById("slider");
  const play = document.getElementById("play");
  const shown = document.querySelector("#step b");
  const facts = [...document.querySelectorAll("[data-fact]")];
  let playing = false;

  function show() {
    const i = Number(slider.value);
    const step = checkpoints.steps[i];
    shown.textContent = step.toLocaleString("en");
    slider.setAttribute("aria-valuetext", `step ${step}`);
    facts.forEach((fact, j) => (fact.textContent = checkpoints.values[i][j]));
    document.documentElement.dataset.step = step;
    Figures.show(i, step);
  }

  function setPlaying(on) {
    playing = on;
    play.setAttribute("aria-pressed", on);
    play.setAttribute("aria-label", on ? "Pause" : "Play");
    play.firstElementChild.textContent = on ? "❚❚" : "▶";
  }

  async function run() {
    const last = Number(slider.max);
    const from = Number(slider.value) === last ? 0 : Number(slider.value) + 1;
    for (let i = from; playing && i <= last; i++) {
      slider.value = i;
      show();
      do await new Promise((done) => setTimeout(done, PAUSE));
      while (playing && !Figures.settled());
    }
    setPlaying(false);
  }

  slider.addEventListener("input", () => {
    setPlaying(false);
    show();
  });
  play.addEventListener("click", () => {
    setPlaying(!playing);
    if (playing) run();
  });
  // A browser that comes back to the page may remember where the slider was.
  if (slider.value !== slider.max) show();
})();
