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
