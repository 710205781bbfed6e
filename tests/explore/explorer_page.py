"""The explorer in the browser: its process, its controls, and its charts' words and pixels."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from playwright.sync_api import Browser, Locator, Page

Charts = dict[str, tuple[str, str | None]]  # name -> title, and the picture as a data URL where one is drawn

# Counts the runs of marimo's kernel that have ended, as they are reported to the page.
_COUNT_RUNS = """
window.runs = 0;
const Plain = window.WebSocket;
window.WebSocket = class extends Plain {
  constructor(...given) {
    super(...given);
    this.addEventListener("message", (event) => {
      if (/"op": ?"completed-run"/.test(String(event.data))) window.runs += 1;
    });
  }
};
"""
# marimo draws each chart in a shadow tree of its own.
_CHARTS = """() => {
  const canvas = (root) => {
    for (const each of root.querySelectorAll("*")) {
      const found = each.tagName === "CANVAS" ? each : each.shadowRoot && canvas(each.shadowRoot);
      if (found) return found;
    }
    return null;
  };
  return Object.fromEntries([...document.querySelectorAll("figure.chart")].map((figure) =>
    [figure.dataset.chart, [figure.querySelector("h2").innerText, canvas(figure)?.toDataURL() ?? null]]));
}"""
_WIDEST = """() => Math.max(...[...document.querySelectorAll("#App *")].map((each) =>
  each.closest(".scroll") ? 0 : each.getBoundingClientRect().right))"""


@contextmanager
def explorer(*arguments: str) -> Iterator[str]:
    """The address of an explorer, which must end by itself at Ctrl-C, with exit status 0."""
    command = [sys.executable, "-m", "lastbit", "explore", "--no-browser", "--port", "0", *arguments]
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=os.environ | {"OMP_NUM_THREADS": "1"}
    )
    try:
        yield process.stdout.readline().strip()
        process.send_signal(signal.SIGINT)
        said = process.communicate(timeout=20)
        assert process.returncode == 0, said
        assert "Traceback" not in said[1]
    finally:
        process.kill()
        process.communicate()


@dataclass
class ExplorerPage:
    """The page, and what it asked for and complained of."""

    page: Page
    requests: list[str] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)

    def charts(self) -> Charts:
        """Titles and pictures as they are now."""
        return {name: tuple(chart) for name, chart in self.page.evaluate(_CHARTS).items()}

    def cell(self, name: str) -> Locator:
        """The output of one of the app's cells."""
        return self.page.locator(f"[data-cell-name={name}]")

    def press(self, cell: str, key: str) -> None:
        """Press a key on a slider's thumb."""
        self.cell(cell).locator("[role=slider]").press(key)

    def stands_at(self, cell: str) -> int:
        """The place of a slider's value among its values."""
        return int(self.cell(cell).locator("[role=slider]").get_attribute("aria-valuenow"))

    def changed_by(self, action: Callable[[], object]) -> set[str]:
        """The charts that an action changed, once the kernel has run and the pictures have come to rest."""
        before, runs = self.charts(), self.page.evaluate("window.runs")
        action()
        self.page.wait_for_function("runs => window.runs > runs", arg=runs)
        after = self.settled()
        return {name for name in before.keys() | after.keys() if before.get(name) != after.get(name)}

    def settled(self) -> Charts:
        """The charts once two looks at them, a while apart, see the same."""
        now = self.charts()
        for _ in range(100):
            self.page.wait_for_timeout(250)
            before, now = now, self.charts()
            if now == before:
                return now
        raise AssertionError("the charts do not come to rest")

    def widest(self) -> float:
        """How far right anything reaches, in pixels; what scrolls in a box of its own is left out."""
        return float(self.page.evaluate(_WIDEST))


def visit(browser: Browser, address: str, viewport: dict[str, int]) -> ExplorerPage:
    """Open the page and wait for its charts."""
    context = browser.new_context(viewport=viewport)
    context.set_default_timeout(30_000)
    context.add_init_script(_COUNT_RUNS)
    found = ExplorerPage(context.new_page())
    found.page.on("request", lambda request: found.requests.append(request.url))
    found.page.on("pageerror", lambda error: found.complaints.append(str(error)))
    found.page.on("console", lambda message: found.complaints.append(message.text) if message.type == "error" else None)
    found.page.goto(address)
    found.page.locator("figure[data-chart=edge] canvas").wait_for()
    found.settled()
    return found
