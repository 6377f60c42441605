"use strict";

const table = document.getElementById("scores");
const status = document.getElementById("status");

// Tasks are sorted within their family, which keeps its average below them.
function sortBy(button) {
  const heading = button.closest("th");
  const byTask = button.dataset.sort === "task";
  const first = byTask ? "ascending" : "descending";
  const second = byTask ? "descending" : "ascending";
  const order = heading.getAttribute("aria-sort") === first ? second : first;
  for (const other of table.querySelectorAll("[aria-sort]")) other.setAttribute("aria-sort", "none");
  heading.setAttribute("aria-sort", order);
  const score = (row) => {
    const value = row.querySelectorAll("td")[Number(button.dataset.sort)].dataset.score;
    return value === undefined ? -Infinity : Number(value);
  };
  const compare = byTask
    ? (a, b) => a.dataset.task.localeCompare(b.dataset.task, "en")
    : (a, b) => (score(a) === score(b) ? 0 : score(a) < score(b) ? -1 : 1);
  const sign = order === "ascending" ? 1 : -1;
  for (const body of table.tBodies) {
    const average = body.querySelector(".average");
    const rows = [...body.querySelectorAll("[data-task]")].sort((a, b) => sign * compare(a, b));
    for (const row of rows) body.insertBefore(row, average);
  }
  status.textContent = `sorted by ${button.textContent}, ${order}`;
}

// What heads a column stands before each of its cells where a table is shown row by row.
for (const each of document.querySelectorAll(".scroll table")) {
  const titles = [...each.tHead.rows].at(-1).cells;
  for (const body of each.tBodies)
    for (const row of body.rows)
      for (const cell of row.cells)
        if (cell.tagName === "TD") cell.dataset.title = titles[cell.cellIndex].textContent;
}

// Nothing is cut: how wide a table is depends on the reader's font and on how many methods it has.
function fit() {
  for (const region of document.querySelectorAll(".scroll")) {
    region.classList.remove("stack");
    region.classList.toggle("stack", region.scrollWidth > region.clientWidth);
  }
}
fit();
addEventListener("resize", fit);
document.fonts.ready.then(fit);

const details = JSON.parse(document.getElementById("provenance").textContent);
const dialog = document.getElementById("details");

function make(tag, text) {
  const element = document.createElement(tag);
  if (text !== undefined) element.textContent = text;
  return element;
}

function show(name) {
  const body = document.getElementById("details-body");
  body.replaceChildren();
  details[name].forEach(([heading, pairs], index) => {
    if (!pairs.length) return;
    const title = make(index ? "h3" : "h2", heading);
    if (!index) title.id = "details-title";
    const list = make("dl");
    for (const [key, value] of pairs) {
      const pair = make("div");
      pair.append(make("dt", key), make("dd", value));
      list.append(pair);
    }
    body.append(title, list);
  });
  dialog.showModal();
  dialog.scrollTop = 0;
}

table.addEventListener("click", (event) => {
  const button = event.target.closest("button");
  if (button?.dataset.sort) sortBy(button);
  else if (button?.dataset.cell) show(button.dataset.cell);
});
// A press beside the dialog closes it, as Escape does.
dialog.addEventListener("click", (event) => {
  if (event.target === dialog) dialog.close();
});

// Lines: pointing at one shows its values, a legend's button switches a method's off and on.
const values = JSON.parse(document.getElementById("lines").textContent);
const tip = document.getElementById("tip");
const hidden = new Set();

// Where a line's values are drawn, in the picture's own units.
function places(path) {
  const numbers = path.getAttribute("d").match(/-?[\d.]+/g).map(Number);
  return Array.from({ length: numbers.length / 2 }, (_, i) => [numbers[2 * i], numbers[2 * i + 1]]);
}

for (const figure of document.querySelectorAll("[data-lines]")) {
  const lines = values[figure.dataset.lines];
  for (const part of figure.querySelectorAll("[data-line], [data-band]"))
    part.dataset.method = lines[part.dataset.line ?? part.dataset.band].method;
  const drawn = [...figure.querySelectorAll("[data-line]")].map((group) => ({
    of: lines[group.dataset.line],
    at: places(group.querySelector("path")),
  }));
  const picture = figure.querySelector("svg");
  figure.addEventListener("pointermove", (event) => {
    const here = new DOMPoint(event.clientX, event.clientY).matrixTransform(picture.getScreenCTM().inverse());
    let nearest = { distance: 24 };
    for (const { of, at } of drawn.filter(({ of }) => !hidden.has(of.method)))
      at.forEach(([x, y], index) => {
        const distance = Math.hypot(x - here.x, y - here.y);
        if (distance < nearest.distance) nearest = { distance, of, index };
      });
    tip.hidden = !nearest.of;
    if (nearest.of) say(nearest.of, nearest.index, event);
  });
  figure.addEventListener("pointerleave", () => (tip.hidden = true));
}

function say(line, index, event) {
  const [x, y, low, high] = ["x", "y", "low", "high"].map((key) => line[key][index]);
  const digits = Math.abs(y) <= 1 && Math.max(...line.y) <= 1 ? 2 : 1;
  const interval = low < high ? ` (${low.toFixed(digits)} to ${high.toFixed(digits)})` : "";
  tip.textContent = `${line.title}, at ${x.toLocaleString("en")}: ${y.toFixed(digits)}${interval}`;
  const room = [innerWidth - tip.offsetWidth - 8, innerHeight - tip.offsetHeight - 8];
  tip.style.left = `${Math.max(8, Math.min(event.clientX + 14, room[0]))}px`;
  tip.style.top = `${Math.max(8, Math.min(event.clientY + 14, room[1]))}px`;
}

for (const button of document.querySelectorAll(".legend button"))
  button.addEventListener("click", () => {
    const method = button.dataset.method;
    if (!hidden.delete(method)) hidden.add(method);
    for (const each of document.querySelectorAll("[data-method]")) {
      if (each.dataset.method !== method) continue;
      if (each.tagName === "BUTTON") each.setAttribute("aria-pressed", String(!hidden.has(method)));
      else each.classList.toggle("off", hidden.has(method));
    }
  });
