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
