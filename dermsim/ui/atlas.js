// Tells the page what a visitor does with the map: "pointed", one case; "circled", several; "hovered",
// one that the pointer is over, to be shown its picture. The case on show is marked on the map.
// Plotly draws into an element of its own, which Gradio may replace, so the plot is watched.
const plot = document.getElementById("atlas-plot");
const shown = () => document.getElementById("atlas-case");
const seen = document.getElementById("atlas-hover");
const drawnMap = () => plot.querySelector(".js-plotly-plot");

const rowsOf = (event) =>
  (event?.points ?? []).map((point) => point.customdata).filter(Number.isInteger);

// The mark: a ring over the point of the case on show, wherever the view has it.
const ring = document.createElement("i");
ring.className = "ds-mark-ring";

const placeOf = (row) => {
  const drawn = drawnMap();
  for (const trace of drawn?.data ?? []) {
    let place = (trace.customdata ?? []).indexOf(row);
    if (place < 0) place = (trace.ids ?? []).indexOf(String(row));
    if (place < 0) continue;
    const { xaxis, yaxis, _size } = drawn._fullLayout;
    const [x, y] = [xaxis.d2p(trace.x[place]), yaxis.d2p(trace.y[place])];
    if (x < 0 || y < 0 || x > _size.w || y > _size.h) return null;
    const [frame, outer] = [drawn.getBoundingClientRect(), plot.getBoundingClientRect()];
    return [frame.x - outer.x + _size.l + x, frame.y - outer.y + _size.t + y];
  }
  return null;
};

const mark = () => {
  const row = shown()?.querySelector("[data-row]")?.dataset.row;
  const place = row === undefined ? null : placeOf(Number(row));
  ring.hidden = !place;
  if (!place) return;
  if (ring.parentElement !== plot) plot.append(ring);
  ring.dataset.row = row;
  [ring.style.left, ring.style.top] = place.map((length) => `${length}px`);
};

// The picture under the pointer; what was seen once is not asked for again.
const pictures = new Map();
let over = null;

const showPicture = () => {
  const html = pictures.get(over);
  seen.classList.toggle("is-seen", Boolean(html));
  if (html && seen.dataset.shown !== String(over)) {
    seen.dataset.shown = over;
    const box = seen.querySelector("[data-row]");
    if (box && box.innerHTML !== html) box.innerHTML = html;
  }
};

const hover = (event) => {
  const [row] = rowsOf(event);
  if (row === undefined || !document.querySelector("#atlas-pointer [data-hovers]")) return;
  over = row;
  const { clientX, clientY } = event.event;
  const left = clientX + 250 > innerWidth ? clientX - 250 : clientX + 30;
  [seen.style.left, seen.style.top] = [`${left}px`, `${Math.min(clientY + 30, innerHeight - 260)}px`];
  if (pictures.has(row)) showPicture();
  else trigger("hovered", { row });
};

const leave = () => {
  over = null;
  seen.classList.remove("is-seen");
};

const take = () => {
  const box = seen.querySelector("[data-row]");
  if (!box) return;
  const row = Number(box.dataset.row);
  if (!pictures.has(row)) pictures.set(row, box.innerHTML);
  if (row === over) showPicture();
};

// A finger that swipes scrolls the page, until a tool is chosen that draws on the map.
let draws = false;
const isFinger = () => matchMedia("(pointer: coarse)").matches;
for (const kind of ["touchstart", "touchmove", "touchend"])
  plot.addEventListener(kind, (event) => {
    if (isFinger() && !draws && event.target.closest(".draglayer")) event.stopPropagation();
  }, { capture: true, passive: true });

// Plotly does not hear of a tap then; the nearest case within a finger's width is meant.
const FINGER = 24;
const nearest = (x, y) => {
  const drawn = drawnMap();
  const { xaxis, yaxis, _size } = drawn._fullLayout;
  const frame = drawn.getBoundingClientRect();
  const [left, top] = [x - frame.x - _size.l, y - frame.y - _size.t];
  let [best, found] = [FINGER ** 2, null];
  for (const trace of drawn.data)
    (trace.customdata ?? []).forEach((row, place) => {
      const away = (xaxis.d2p(trace.x[place]) - left) ** 2 + (yaxis.d2p(trace.y[place]) - top) ** 2;
      if (away < best) [best, found] = [away, row];
    });
  return found;
};

plot.addEventListener("click", (event) => {
  if (event.target.closest(".modebar-btn[data-attr=dragmode]")) {
    draws = true;
    plot.classList.add("is-drawing");
  } else if (isFinger() && !draws && event.target.closest(".draglayer")) {
    const row = nearest(event.clientX, event.clientY);
    if (row !== null) trigger("pointed", { row });
  }
}, true);

const listen = () => {
  const drawn = drawnMap();
  if (!drawn || drawn.listenedTo) return;
  drawn.listenedTo = true;
  drawn.on("plotly_click", (event) => {
    const [row] = rowsOf(event);
    if (row !== undefined && !(isFinger() && !draws)) trigger("pointed", { row });
  });
  // Plotly also tells of a selection that a redraw has emptied, then without any event
  drawn.on("plotly_selected", (event) => event && trigger("circled", { rows: rowsOf(event) }));
  drawn.on("plotly_deselect", () => trigger("circled", { rows: [] }));
  drawn.on("plotly_hover", hover);
  drawn.on("plotly_unhover", leave);
  drawn.on("plotly_afterplot", mark);
  mark();
};

// Gradio may put another case into the element of the last one
let [lastCase, lastRow] = [null, null];
const look = () => {
  listen();
  take();
  const row = shown()?.querySelector("[data-row]") ?? null;
  const number = row?.dataset.row ?? null;
  if (row === lastCase && number === lastRow) return;
  [lastCase, lastRow] = [row, number];
  mark();
  if (row && matchMedia("(max-width: 900px)").matches) row.scrollIntoView({ block: "nearest" });
};
const place = element.closest("[role=tabpanel]") ?? document.body;
new MutationObserver(look).observe(place, { childList: true, subtree: true, attributeFilter: ["data-row"] });
look();
