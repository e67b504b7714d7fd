// The switches of the tab Concepts. The melanoma score from concepts is a sum of what each of them
// adds, so a choice bears by how much it changes the log-odds, and nobody is asked.
const share = (probability) => {
  if (probability > 0 && probability < 0.01) return "<1\u00a0%";
  if (probability > 0.99 && probability < 1) return ">99\u00a0%";
  return `${(100 * probability).toFixed(0)}\u00a0%`;
};

const addUp = (tab) => {
  const output = tab.querySelector(".ds-what-if output");
  if (!output) return;
  const switched = [...tab.querySelectorAll(".ds-switch input:checked")]
    .filter((input) => input !== input.closest(".ds-switch").querySelector("input"));
  const change = switched.reduce((sum, input) => sum + Number(input.dataset.change), 0);
  const logOdds = Number(output.dataset.logOdds) + change;
  output.value = switched.length ? share(1 / (1 + Math.exp(-logOdds))) : "–";
  const place = output.closest(".ds-what-if");
  place.querySelector("p").hidden = switched.length > 0;
  place.querySelector("button").hidden = switched.length === 0;
};

document.addEventListener("change", (event) => {
  if (event.target.closest?.(".ds-switch")) addUp(event.target.closest(".ds-concepts"));
});

document.addEventListener("click", (event) => {
  const button = event.target.closest?.(".ds-what-if button");
  if (!button) return;
  const tab = button.closest(".ds-concepts");
  for (const group of tab.querySelectorAll(".ds-switch")) group.querySelector("input").checked = true;
  addUp(tab);
});
