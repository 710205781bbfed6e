(() => {
  const { looks, specs } = JSON.parse(document.getElementById("chart-data").textContent);
  const dark = matchMedia("(prefers-color-scheme: dark)");
  let drawn = [];

  async function draw(id, spec) {
    const place = document.getElementById(id);
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
