"""How long the explorer takes to redraw when a slider is moved, in a real Chromium.

A move is a press of an arrow key on a slider's thumb. It ends when the last chart that the move changes has been
painted: every canvas is a new one with something on it, and the next frame has begun. Moves go up and down the sliders
of learning rate, weight decay and momentum in turns, each after the one before has ended. Server and browser share the
machine, as they do for a person.

    python benchmarks/explorer.py [--moves 50] [--kernel 8] [--picture noise] [--smoke] [--json FILE]

Prints median and worst over all moves, and over those after which the edge's crossing is shown, which costs most.
"""

from __future__ import annotations

import os
import shutil
import signal
import statistics
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from playwright.sync_api import Locator, Page, sync_playwright

from options import parsed, parser_of, write

FLAGS = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--no-first-run"]
KERNELS = (4, 6, 8, 10, 12)  # the slider's, which starts at 8
SLIDERS = ("layer_lr", "layer_weight_decay", "layer_momentum")
GOAL = 500.0  # milliseconds

# Counts the runs of marimo's kernel that have ended, as they are reported to the page.
COUNT_RUNS = """
window.runs = 0;
const Plain = window.WebSocket;
window.WebSocket = class extends Plain {
  constructor(...given) {
    super(...given);
    this.addEventListener("message", (event) => {
      if (String(event.data).includes('"op":"completed-run"') || String(event.data).includes('"op": "completed-run"'))
        window.runs += 1;
    });
  }
};
"""

# Resolves to the milliseconds from the next key to the frame after the last chart's painting, and whether the edge is
# among the charts. Vega-Embed paints a new canvas for each new chart.
MOVE = """() => new Promise((resolve) => {
  const canvases = () => {
    const found = [];
    const look = (root) => root.querySelectorAll("*").forEach((each) => {
      if (each.tagName === "CANVAS") found.push(each);
      if (each.shadowRoot) look(each.shadowRoot);
    });
    document.querySelectorAll("figure.chart").forEach(look);
    return found;
  };
  // Half way up, where at least the vertical axis is.
  const painted = (canvas) =>
    canvas.getContext("2d").getImageData(0, Math.round(canvas.height / 2), canvas.width, 1).data.some(Boolean);
  const before = new Set(canvases()), runs = window.runs;
  window.moved = new Promise((ended) => {
    document.addEventListener("keydown", (event) => {
      const began = event.timeStamp;
      const look = () => {
        const now = canvases();
        if (window.runs > runs && now.length && now.every((canvas) => !before.has(canvas) && painted(canvas)))
          return requestAnimationFrame(() => ended([performance.now() - began, now.length]));
        requestAnimationFrame(look);
      };
      requestAnimationFrame(look);
    }, { once: true, capture: true });
  });
  resolve();
})"""


@contextmanager
def explorer() -> Iterator[str]:
    """The address of a running explorer."""
    command = [sys.executable, "-m", "lastbit", "explore", "--no-browser", "--port", "0"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=os.environ | {"OMP_NUM_THREADS": "1"})
    assert process.stdout is not None
    try:
        yield process.stdout.readline().strip()
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(10)


def thumb(page: Page, cell: str) -> Locator:
    """The part of a slider that arrow keys move."""
    return page.locator(f"[data-cell-name={cell}] [role=slider]")


def move(page: Page, cell: str, key: str) -> tuple[float, bool]:
    """Milliseconds that a move took, and whether the edge was shown after it."""
    thumb(page, cell).focus()
    page.evaluate(MOVE)
    page.keyboard.press(key)
    took, charts = page.evaluate("() => window.moved")
    return float(took), charts == 5


def measure(page: Page, moves: int) -> list[tuple[float, bool]]:
    """Move the sliders in turns: some values up, as many down."""
    keys = ["ArrowLeft", "ArrowLeft", "ArrowRight", "ArrowRight"]
    places = [(SLIDERS[i // 4 % len(SLIDERS)], keys[i % 4]) for i in range(moves)]
    # Momentum starts at its foot, where it cannot be lowered.
    return [
        move(page, cell, key if cell != "layer_momentum" else keys[(i + 2) % 4]) for i, (cell, key) in enumerate(places)
    ]


def summary(name: str, times: list[float]) -> dict[str, float]:
    """Print median and worst, and return them."""
    found = {"moves": len(times), "median": statistics.median(times), "worst": max(times)}
    met = "met" if found["worst"] <= GOAL else "MISSED"
    print(f"  {name}: median {found['median']:.0f} ms, worst {found['worst']:.0f} ms of {len(times)} (500 ms: {met})")
    return found


def main() -> None:
    """Measure, print and store."""
    parser = parser_of(__doc__)
    parser.add_argument("--moves", type=int, default=50)
    parser.add_argument("--kernel", type=int, choices=KERNELS, default=8)
    parser.add_argument("--picture", default="checkerboard", help="as the page names it")
    chosen = parsed(parser, moves=4)
    with explorer() as address, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=FLAGS)
        page = browser.new_page(viewport={"width": 1280, "height": 900})
        page.add_init_script(COUNT_RUNS)
        page.goto(address)
        page.locator("figure[data-chart=edge]").wait_for()
        page.wait_for_timeout(2000)
        for _ in range(abs(KERNELS.index(chosen.kernel) - KERNELS.index(8))):
            move(page, "layer_kernel", "ArrowRight" if chosen.kernel > 8 else "ArrowLeft")
        page.locator("[data-cell-name=layer_picture] select").select_option(chosen.picture)
        page.wait_for_timeout(2000)
        found = measure(page, chosen.moves)
        browser.close()
    print(f"Redraw after a slider's move, {chosen.picture}, kernel {chosen.kernel}, load {os.getloadavg()[0]:.1f}")
    content = {"all": summary("all moves", [time for time, _ in found])}
    if shown := [time for time, edge in found if edge]:
        content["edge shown"] = summary("edge shown", shown)
    write(content, chosen.json)


if __name__ == "__main__":
    main()
