// Draws every chart in the colours of the reader's theme, and again when the theme or the width changes.
(() => {
  "use strict";
  const read = (id) => JSON.parse(document.getElementById(id).textContent);
  const themes = read("themes");
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const boxes = [...document.querySelectorAll("[data-spec]")];
  const drawn = new Map();
  let printing = false; // paper is light, whatever the screen is

  async function draw(box) {
    const spec = read(box.dataset.spec);
    if ("square" in box.dataset) spec.height = Math.min(box.clientWidth, 720);
    drawn.get(box)?.finalize();
    const options = {
      mode: "vega-lite",
      renderer: "svg",
      config: themes[dark.matches && !printing ? "dark" : "light"],
      ast: true, // Vega's interpreter: no code is made from strings
      actions: false,
      defaultStyle: false,
      tooltip: { disableDefaultStyle: true },
    };
    try {
      drawn.set(box, await vegaEmbed(box, spec, options));
    } catch (error) {
      console.error(error);
      box.textContent = "This chart could not be drawn.";
    }
  }

  async function drawAll() {
    for (const box of boxes) await draw(box);
    document.documentElement.dataset.drawn = boxes.length;
  }

  let width = document.documentElement.clientWidth;
  let waiting = 0;
  addEventListener("resize", () => {
    if (document.documentElement.clientWidth === width) return;
    width = document.documentElement.clientWidth;
    clearTimeout(waiting);
    waiting = setTimeout(drawAll, 150);
  });
  dark.addEventListener("change", drawAll);
  for (const [event, now] of [["beforeprint", true], ["afterprint", false]]) {
    addEventListener(event, () => {
      printing = now;
      if (dark.matches) drawAll(); // done before the paper is: nothing in it waits for more than microtasks
    });
  }
  drawAll();
})();
