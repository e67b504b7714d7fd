// Tells the page what a visitor points at on the map: "pointed", one case; "circled", several.
// Plotly draws into an element of its own, which Gradio may replace, so the plot is watched.
const plot = document.getElementById("atlas-plot");

const rowsOf = (event) =>
  (event?.points ?? []).map((point) => point.customdata).filter(Number.isInteger);

const listen = () => {
  const drawn = plot.querySelector(".js-plotly-plot");
  if (!drawn || drawn.listenedTo) return;
  drawn.listenedTo = true;
  drawn.on("plotly_click", (event) => {
    const [row] = rowsOf(event);
    if (row !== undefined) trigger("pointed", { row });
  });
  // Plotly also tells of a selection that a redraw has emptied, then without any event
  drawn.on("plotly_selected", (event) => event && trigger("circled", { rows: rowsOf(event) }));
  drawn.on("plotly_deselect", () => trigger("circled", { rows: [] }));
};

new MutationObserver(listen).observe(plot, { childList: true, subtree: true });
listen();
