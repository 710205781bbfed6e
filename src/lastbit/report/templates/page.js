(() => {
  const { looks, specs } = JSON.parse(document.getElementById("chart-data").textContent);
  const dark = matchMedia("(prefers-color-scheme: dark)");
  let drawn = [];
  let turn = 0;  // counts the drawings of the whole page: a later one ends those before

  // Pixels of a legend's symbol with its margins, of a letter beside it, and of the axis to the left of the legend.
  const SYMBOL = 45, LETTER = 6.5, AXIS = 55;
  const NARROW = 500;

  // The spec with legends and names of an axis as narrow as the width demands: Vega would cut off what does not fit.
  function fitted(part, width) {
    if (Array.isArray(part)) return part.map((each) => fitted(each, width));
    if (part === null || typeof part !== "object") return part;
    const copy = Object.fromEntries(
      Object.entries(part).map(([name, each]) => [name, name === "datasets" ? each : fitted(each, width)]),
    );
    if (part.axis?.labelLimit) copy.axis = { ...part.axis, labelLimit: Math.min(part.axis.labelLimit, 0.4 * width) };
    const labels = part.scale?.domain;
    if (part.legend?.orient === "top" && Array.isArray(labels)) {
      const room = width - AXIS, longest = Math.max(...labels.map((label) => String(label).length));
      const most = Math.max(1, Math.floor(room / (SYMBOL + LETTER * longest)));
      const columns = Math.min(part.legend.columns || labels.length, most);
      const labelLimit = Math.min(part.legend.labelLimit || Infinity, room - SYMBOL);
      copy.legend = { ...part.legend, columns, labelLimit };
    }
    return copy;
  }

  async function draw(id, given) {
    const place = document.getElementById(id);
    const spec = fitted(given, place.clientWidth);
    const look = looks[dark.matches ? "dark" : "light"];
    // On a telephone long names along an axis would leave no room for the chart, and legends have none side by side.
    const axis = { ...look.axis, labelLimit: Math.min(180, Math.round(0.4 * place.clientWidth)) };
    const stacked = { direction: "vertical", margin: 4 }, abreast = { direction: "horizontal", margin: 18 };
    const layout = { top: { anchor: "start", ...(place.clientWidth < NARROW ? stacked : abreast) } };
    const config = { ...look, axis, legend: { ...look.legend, layout } };
    const tooltip = { theme: dark.matches ? "dark" : "light" };
    try {
      return await vegaEmbed(place, spec, { config, tooltip, actions: false, renderer: "canvas" });
    } catch (error) {
      place.textContent = "This chart could not be drawn.";
      throw error;
    }
  }

  // The place nearest to what is being looked at, the upper of two: a long page takes seconds to draw.
  function nearest(ids) {
    const middle = (id) => {
      const { top, bottom } = document.getElementById(id).getBoundingClientRect();
      return Math.abs((top + bottom - innerHeight) / 2);
    };
    const distances = [...ids].map((id) => [middle(id), id]);
    return distances.reduce((best, each) => (each[0] < best[0] ? each : best))[1];
  }

  async function drawAll() {
    const mine = ++turn;
    drawn.forEach((chart) => chart.finalize());
    drawn = [];
    const waiting = new Set(Object.keys(specs));
    while (waiting.size) {
      const id = nearest(waiting);
      waiting.delete(id);
      drawn.push(await draw(id, specs[id]));
      // Let the page be scrolled, and its colours be changed, between two charts.
      await new Promise((resume) => setTimeout(resume));
      if (mine !== turn) return;
    }
    document.documentElement.dataset.charts = "drawn";
  }

  dark.addEventListener("change", drawAll);
  drawAll();
})();
(() => {
  const MARGIN = 24;  // pixels left free on each side of a table that is wider than the text

  // A table wider than the text takes the room that the window has beside it; what still does not fit is said.
  function fit() {
    for (const frame of document.querySelectorAll(".scroll")) {
      frame.style.marginInline = "";
      const missing = frame.scrollWidth - frame.clientWidth;
      const room = document.documentElement.clientWidth - 2 * MARGIN - frame.clientWidth;
      const taken = Math.max(0, Math.min(missing, room));
      if (taken) frame.style.marginInline = `${-taken / 2}px`;
      frame.classList.toggle("clipped", missing > taken);
    }
  }

  addEventListener("resize", fit);
  document.addEventListener("toggle", fit, true);  // a table in closed details has no size
  fit();
})();
