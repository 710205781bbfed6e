(() => {
  const { looks, specs } = JSON.parse(document.getElementById("chart-data").textContent);
  const dark = matchMedia("(prefers-color-scheme: dark)");
  let drawn = [];

  // Pixels of a legend's symbol with its margins, and of a letter beside it.
  const SYMBOL = 45, LETTER = 7;

  // The spec with no more columns in each legend than fit the width: Vega would cut off the others.
  function fitted(part, width) {
    if (Array.isArray(part)) return part.map((each) => fitted(each, width));
    if (part === null || typeof part !== "object") return part;
    const copy = Object.fromEntries(
      Object.entries(part).map(([name, each]) => [name, name === "datasets" ? each : fitted(each, width)]),
    );
    const labels = part.scale?.domain;
    if (part.legend?.columns && Array.isArray(labels)) {
      const longest = Math.max(...labels.map((label) => String(label).length));
      const most = Math.max(1, Math.floor(width / (SYMBOL + LETTER * longest)));
      copy.legend = { ...part.legend, columns: Math.min(part.legend.columns, most) };
    }
    return copy;
  }

  async function draw(id, given) {
    const place = document.getElementById(id);
    const spec = fitted(given, place.clientWidth);
    const config = looks[dark.matches ? "dark" : "light"];
    const tooltip = { theme: dark.matches ? "dark" : "light" };
    try {
      return await vegaEmbed(place, spec, { config, tooltip, actions: false, renderer: "canvas" });
    } catch (error) {
      place.textContent = "This chart could not be drawn.";
      throw error;
    }
  }

  async function drawAll() {
    drawn.forEach((chart) => chart.finalize());
    drawn = [];
    for (const [id, spec] of Object.entries(specs)) {
      drawn.push(await draw(id, spec));
    }
    document.documentElement.dataset.charts = "drawn";
  }

  dark.addEventListener("change", drawAll);
  drawAll();
})();
