// The batch's worklist: sorts its rows, tells which is clicked ("chosen"), counts what reads as
// malignant, and saves the file that comes. Gradio draws the table anew, so the page is watched.
const table = () => document.querySelector("#batch-table table");
const places = () => [...document.querySelectorAll("#batch-table tr[data-row]")];

const choose = (row) => {
  for (const other of places()) {
    other.classList.toggle("is-chosen", other === row);
    if (other === row) other.setAttribute("aria-current", "true");
    else other.removeAttribute("aria-current");
  }
  trigger("chosen", { row: Number(row.dataset.row) });
};

const sort = (head) => {
  const column = [...head.parentElement.children].indexOf(head);
  const falling = head.getAttribute("aria-sort") === "ascending";
  for (const other of head.parentElement.children) other.removeAttribute("aria-sort");
  head.setAttribute("aria-sort", falling ? "descending" : "ascending");
  // who has no figures has fewer, wider cells
  const value = (row) => row.children[column]?.dataset.value ?? "";
  const compare = (a, b) => {
    const [x, y] = [value(a), value(b)];
    // what has nothing there stays on top
    if (x === "" || y === "") return (x !== "") - (y !== "");
    const numbers = Number(x) - Number(y);
    const order = Number.isNaN(numbers) ? x.localeCompare(y) : numbers;
    return falling ? -order : order;
  };
  places()[0].parentElement.append(...places().sort(compare));
};

document.addEventListener("click", (event) => {
  const head = event.target.closest?.("#batch-table th");
  const row = event.target.closest?.("#batch-table tr[data-row]");
  if (head) sort(head);
  else if (row) choose(row);
});

// what reads as malignant moves with the slider
const count = () => {
  const told = document.querySelector("#batch-told [data-counted]");
  if (!told || !table()) return;
  const text = Number(places().filter((row) => row.classList.contains("is-malignant")).length)
    .toLocaleString(document.documentElement.lang);
  if (told.textContent !== text) told.textContent = text;
};

const save = () => {
  const link = document.querySelector("#batch-file a[data-fresh]");
  if (!link) return;
  delete link.dataset.fresh;
  link.click();
};

// on a phone the row in full lies under the table
let lastShown = null;
const reveal = () => {
  const row = document.querySelector("#batch-row .ds-row");
  if (row === lastShown) return;
  lastShown = row;
  if (row && matchMedia("(max-width: 900px)").matches) row.scrollIntoView({ block: "nearest" });
};

const look = () => {
  count();
  save();
  reveal();
};
// what this tab shows comes and goes, the tab itself stays
const place = element.closest("[role=tabpanel]") ?? document.body;
new MutationObserver(look).observe(place, {
  childList: true, subtree: true, attributes: true, attributeFilter: ["class"],
});
look();
