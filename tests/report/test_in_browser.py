"""Pages in a real browser: drawn without errors, within their space, at two widths; the slider moves everything."""

import time
from pathlib import Path

import pytest
from browser import Page, browser_page
from pages import HISTORY, HOSTILE, planted_run

import mechgrok as mg
from mechgrok.report import write_comparison, write_report

WIDTHS = (1280, 390)
DRAWN = "document.documentElement?.dataset.drawn === 'all'"
OVERFLOWING = """[...document.querySelectorAll('main *')].filter((e) => {
    const box = e.getBoundingClientRect();
    return box.width && !e.closest('.scroll') && !e.closest('svg') && (box.left < -1 || box.right > innerWidth + 1);
}).map((e) => e.tagName + ' ' + e.className)"""
CUT_OFF = """[...document.querySelectorAll('h1, h2, h3, p, dt, dd, output, summary')].filter((e) =>
    e.scrollWidth > e.clientWidth + 1 && getComputedStyle(e).display !== 'inline'
).map((e) => e.textContent)"""
UNDRAWN = """[...document.querySelectorAll('.plot')].filter((e) => {
    const svg = e.querySelector('svg.main-svg');
    return !svg || Math.abs(svg.getBoundingClientRect().width - e.clientWidth) > 1;
}).map((e) => e.dataset.figure)"""
SHIFT = """new Promise((done) => {
    let sum = 0;
    new PerformanceObserver((list) => list.getEntries().forEach((e) => { sum += e.value; }))
        .observe({ type: 'layout-shift', buffered: true });
    setTimeout(() => done(sum), 200);
})"""
PICTURES = """Object.fromEntries([...document.querySelectorAll('.plot')].map((e) => [e.dataset.figure,
    e.querySelector('.cartesianlayer').innerHTML + e.querySelector('.layer-above').innerHTML]))"""
"""What is drawn at each place: the data with its maps as images, and the lines upon it."""
AXES = """Object.fromEntries([...document.querySelectorAll('.plot')].map((e) => [e.dataset.figure,
    [e._fullLayout.xaxis.range, e._fullLayout.yaxis.range, e.data[0].zmin, e.data[0].zmax].flat()]))"""
STEP = "document.querySelector('#step b').textContent"
AT_STEP = "document.documentElement.dataset.step === '{}' && " + DRAWN
ON_PAPER = """(() => {
    const rules = [...document.styleSheets].flatMap((sheet) => [...sheet.cssRules])
        .filter((rule) => rule.media?.mediaText === 'print').flatMap((rule) => [...rule.cssRules]);
    const style = document.createElement('style');
    style.textContent = rules.map((rule) => rule.cssText).join(' ') + ' main { width: 700px; }';
    document.head.append(style);
    const wrong = [...document.querySelectorAll('.plot')].filter((plot) => {
        const room = plot.getBoundingClientRect();
        const edge = document.querySelector('main').getBoundingClientRect().right;
        return room.right > edge + 1 || [...plot.querySelectorAll('svg.main-svg')].some((svg) => {
            const { left, right, top, bottom } = svg.getBoundingClientRect();
            const [, , width, height] = svg.getAttribute('viewBox').split(' ').map(Number);
            return Math.abs(right - left - room.width) > 1 || Math.abs(bottom - top - room.height) > 1
                || Math.abs(room.width / room.height - width / height) > 0.02;
        });
    }).map((plot) => plot.dataset.figure);
    style.remove();
    return wrong;
})()"""
"""Figures that a sheet of paper would cut or distort, measured before any script can draw them anew."""
TICKS = """[...document.querySelectorAll('[data-figure="{}"] .{}tick text')].map((e) => e.textContent)"""
HEADS = {"pattern-L0H0", "qk-L0H0", "ov-L0H0"}
STILL = {"evidence", "clusters", "ablation", "outcomes", "spare-margins", *HEADS}


@pytest.fixture(scope="module")
def run_page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("run")
    run = planted_run(folder / "run", 13, {2: 20.0, 6: 20.0}, 5, name=HOSTILE)
    return write_report(folder / "report.html", run)


def check_page(page: Page, width: int) -> None:
    """Nothing wrong, nothing loaded, nothing outside of its room."""
    page.wait_for(DRAWN)
    assert page.evaluate(UNDRAWN) == []
    assert page.evaluate(OVERFLOWING) == []
    assert page.evaluate(CUT_OFF) == []
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert page.evaluate(SHIFT) < 0.01
    assert page.evaluate("window.owned === undefined")
    assert page.errors == []
    assert [url for url in page.requests if not url.startswith(("file:", "data:", "blob:"))] == []


@pytest.mark.parametrize("width", WIDTHS)
def test_a_network(tmp_path: Path, width: int):
    network = mg.cosine_network(13, {2: 20.0, 6: 20.0})
    file = write_report(tmp_path / "report.html", network, history=HISTORY, title=HOSTILE)
    with browser_page() as page:
        page.open(file, width)
        check_page(page, width)
        # A phone turned round: the figures follow.
        page.resize(width // 2 + 200)
        page.wait_for(f"({UNDRAWN}).length === 0")
        assert page.errors == []


@pytest.mark.parametrize("width", [*WIDTHS, 800])
def test_figures_are_whole_on_paper(run_page: Path, width: int):
    with browser_page() as page:
        page.open(run_page, width)
        page.wait_for(DRAWN)
        assert page.evaluate(ON_PAPER) == []
        page.evaluate("document.querySelector('.main-svg').setAttribute('viewBox', '0 0 1 9')")
        assert len(page.evaluate(ON_PAPER)) == 1, "the check can fail"


def test_every_key_has_its_tick(tmp_path: Path):
    """Where two keys are close they share one."""
    network = mg.cosine_network(113, {5: 20.0, 27: 20.0, 29: 20.0})
    file = write_report(tmp_path / "report.html", network)
    with browser_page() as page:
        page.open(file, WIDTHS[0])
        page.wait_for(DRAWN)
        for figure, axis in (("spectrum", "x"), ("fourier", "x"), ("fourier", "y"), ("evidence", "x")):
            shown = ", ".join(page.evaluate(TICKS.format(figure, axis)))
            assert shown == "5, 27, 29", (figure, axis)


@pytest.mark.parametrize("width", WIDTHS)
def test_a_comparison(tmp_path: Path, width: int):
    networks = {HOSTILE: mg.pizza_network(11, {2: 9.0}), "clock": mg.cosine_network(11, {2: 9.0})}
    file = write_comparison(tmp_path / "pair.html", networks)
    with browser_page() as page:
        page.open(file, width)
        check_page(page, width)


@pytest.mark.parametrize("width", WIDTHS)
def test_the_slider_moves_all_linked_figures(run_page: Path, width: int):
    with browser_page() as page:
        page.open(run_page, width)
        check_page(page, width)
        last, axes, size = (page.evaluate(what) for what in (PICTURES, AXES, "document.body.scrollHeight"))
        page.evaluate("document.getElementById('slider').focus()")
        page.press("ArrowLeft")
        page.wait_for(AT_STEP.format(40))
        before_last = page.evaluate(PICTURES)
        page.press("Home")
        page.wait_for(AT_STEP.format(10))
        first = page.evaluate(PICTURES)
        linked = set(last) - STILL
        assert {
            "loss",
            "accuracy",
            "spectrum",
            "circle-0",
            "circle-1",
            "neuron-0",
            "fourier",
            "measure-0",
        } <= linked
        for one, other in ((last, before_last), (before_last, first), (first, last)):
            assert {place for place in last if one[place] == other[place]} == STILL
        assert page.evaluate(STEP) == "10"
        assert page.evaluate("document.getElementById('slider').getAttribute('aria-valuetext')") == "step 10"
        assert page.evaluate(AXES) == axes, "axes and colours stand still"
        page.press("End")
        page.wait_for(AT_STEP.format(50))
        assert page.evaluate(PICTURES) == last, "back where it was"
        assert page.evaluate("document.body.scrollHeight") == size
        check_page(page, width)


def test_it_plays_to_the_end(run_page: Path):
    with browser_page() as page:
        page.open(run_page, WIDTHS[0])
        page.wait_for(DRAWN)
        page.evaluate("document.getElementById('play').focus()")
        page.press("Enter")
        page.wait_for("document.documentElement.dataset.step === '10'")
        assert page.evaluate("document.getElementById('play').getAttribute('aria-label')") == "Pause"
        page.wait_for(AT_STEP.format(50))
        page.wait_for("document.getElementById('play').getAttribute('aria-label') === 'Play'")
        assert page.errors == []


def test_the_slider_stays_in_sight_with_what_it_moves(run_page: Path):
    top = "document.querySelector('.slider').getBoundingClientRect().top"
    with browser_page() as page:
        page.open(run_page, WIDTHS[0])
        page.wait_for(DRAWN)
        for section in ("#network .logits", "#measures"):
            page.evaluate(f"document.querySelector('{section}').scrollIntoView({{behavior: 'instant'}})")
            page.wait_for(f"Math.abs({top}) < 1")
        page.evaluate("document.getElementById('ablations').scrollIntoView({behavior: 'instant'})")
        page.wait_for(f"{top} < -20")


def test_the_browser_reports_what_is_wrong(tmp_path: Path):
    """The guard itself: a page with an error and a foreign address does not pass as clean."""
    file = tmp_path / "bad.html"
    file.write_text("<img src='http://127.0.0.1:9/x.png'><script>missing()</script>")
    with browser_page() as page:
        page.open(file, 800)
        page.wait_for("document.querySelector('img') !== null && document.readyState === 'complete'")
        deadline = time.monotonic() + 20
        while not any("ReferenceError" in error for error in page.errors):
            assert time.monotonic() < deadline, page.errors
            time.sleep(0.05)
            page.evaluate("1")  # events come in with the answers
        assert "http://127.0.0.1:9/x.png" in page.requests


@pytest.mark.parametrize(("required", "outcome"), [("1", pytest.fail.Exception), ("", pytest.skip.Exception)])
def test_without_a_browser_tests_skip_unless_it_is_required(monkeypatch, required: str, outcome: type):
    monkeypatch.delenv("MECHGROK_BROWSER", raising=False)
    monkeypatch.setenv("PATH", "")
    monkeypatch.setenv("MECHGROK_REQUIRE_BROWSER", required)
    with pytest.raises(outcome, match="no browser among chromium"), browser_page():
        pass
