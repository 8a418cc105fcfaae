// Moves the window of the first convolution: whatever place of its map is pointed at, the numbers follow.
(() => {
  "use strict";
  const box = document.querySelector("[data-explorer]");
  if (!box) return;
  const { size, pixels, mean, deviation, weights, biases, after, channels, stride, begins, dilation } = JSON.parse(box.dataset.explorer);
  const bytes = Uint8Array.from(atob(pixels), (letter) => letter.charCodeAt(0));
  const [height, width, depth] = size;
  const [rows, columns] = after;
  const find = (what) => [...box.querySelectorAll(what)];
  const said = (name) => find(`[data-is="${name}"]`);
  const select = box.querySelector("select");
  const map = box.querySelector(".map");
  const play = box.querySelector("[data-play]");
  const cells = Object.fromEntries(
    ["patch", "kernel", "products"].map((part) => [part, find(`[data-part="${part}"]`).map((grid) => ({
      digits: Number(grid.dataset.digits),
      strongest: Number(grid.dataset.strongest),
      all: [...grid.querySelectorAll("g")].map((cell) => [cell.querySelector("rect"), cell.querySelector("text")]),
    }))]),
  );
  let row = Number(said("row")[0].textContent);
  let column = Number(said("column")[0].textContent);
  let timer = 0;

  const text = (value, digits) => {
    const fixed = value.toFixed(digits);
    return Number(fixed) ? fixed.replace("-", "−") : fixed.replace("-", "");
  };
  const read = (y, x, c) =>
    y < 0 || x < 0 || y >= height || x >= width ? 0 : (bytes[(y * width + x) * depth + c] / 255 - mean[c]) / deviation[c];

  function fill(part, channel, place, value) {
    const grid = cells[part][channel];
    const [rect, label] = grid.all[place];
    label.textContent = text(value, grid.digits);
    rect.setAttribute("class", value < 0 ? "minus" : "plus");
    rect.setAttribute("fill-opacity", Math.min(1, Math.abs(value) / (grid.strongest || 1)).toFixed(3));
  }

  function show() {
    const kernel = weights[select.selectedIndex];
    const top = row * stride[0] + begins[0];
    const left = column * stride[1] + begins[1];
    let total = 0;
    for (let c = 0; c < depth; c++) {
      let part = 0;
      kernel.forEach((line, r) => line.forEach((pixel, s) => {
        const under = read(top + r * dilation[0], left + s * dilation[1], c);
        const place = r * line.length + s;
        fill("patch", c, place, under);
        fill("kernel", c, place, pixel[c]);
        fill("products", c, place, under * pixel[c]);
        part += under * pixel[c];
      }));
      said("part")[c].textContent = text(part, cells.products[c].digits);
      total += part;
    }
    const bias = biases[select.selectedIndex];
    const numbers = { row, column, channel: channels[select.selectedIndex], total: text(total, 3), bias: text(bias, 3), answer: text(total + bias, 3) };
    for (const [name, value] of Object.entries(numbers)) for (const place of said(name)) place.textContent = value;
    for (const frame of find("[data-window]")) {
      frame.setAttribute("x", left);
      frame.setAttribute("y", top);
    }
    for (const frame of find("[data-place]")) {
      frame.setAttribute("x", column);
      frame.setAttribute("y", row);
    }
    const image = document.querySelector(`[data-map-of="${channels[select.selectedIndex]}"]`);
    box.querySelector("[data-map]").setAttribute("href", image.src);
    const toCome = `M${column + 1} ${row}H${columns}V${row + 1}H${column + 1}ZM0 ${row + 1}H${columns}V${rows}H0Z`;
    box.querySelector("[data-to-come]").setAttribute("d", timer ? toCome : "");
  }

  function go(toRow, toColumn) {
    row = Math.max(0, Math.min(rows - 1, toRow));
    column = Math.max(0, Math.min(columns - 1, toColumn));
    show();
  }

  function stop() {
    clearInterval(timer);
    timer = 0;
    play.textContent = "Slide";
  }

  function slide() {
    if (row === rows - 1 && column === columns - 1) {
      stop();
      return show();
    }
    return column + 1 < columns ? go(row, column + 1) : go(row + 1, 0);
  }

  function point(event) {
    const frame = map.getBoundingClientRect();
    stop();
    go(Math.floor(((event.clientY - frame.top) / frame.height) * rows), Math.floor(((event.clientX - frame.left) / frame.width) * columns));
  }

  map.addEventListener("pointermove", point);
  map.addEventListener("pointerdown", point);
  for (const button of find("[data-step]")) {
    const [across, down] = button.dataset.step.split(",").map(Number);
    button.addEventListener("click", () => {
      stop();
      go(row + down, column + across);
    });
  }
  play.addEventListener("click", () => {
    if (timer) {
      stop();
      return show();
    }
    timer = setInterval(slide, Math.max(16, Math.min(120, 30000 / (rows * columns))));
    play.textContent = "Stop";
    return go(0, 0);
  });
  select.addEventListener("change", show);
  for (const [number, item] of document.querySelectorAll(".kernels li").entries()) {
    item.addEventListener("click", () => {
      select.selectedIndex = number;
      show();
      box.scrollIntoView({ block: "nearest" });
    });
  }
  document.documentElement.classList.add("choosable");
  box.querySelector(".controls").hidden = false;
})();
