// Keeps the page true to the picture on show and to the malignancy threshold that the visitor chose. Gradio
// replaces what it draws whenever an answer comes, so the page is watched rather than told.

// Answers about another picture than the one on show are hidden. An answer bears the name of the
// folder that its picture was uploaded to, and so does a picture that was put back in sight.
const onShow = () => {
  const image = document.querySelector("#picture img[src]");
  if (!image) return null;
  const [, mark] = image.src.match(/^data:[^,]*;picture=(\w+)/) ?? [];
  return mark ?? decodeURIComponent(image.src).split("/").at(-2);
};

const hideOthers = () => {
  const current = onShow();
  const stale = new Set();
  const places = new Set(document.querySelectorAll(".ds-follows"));
  for (const answer of document.querySelectorAll("[data-picture]")) {
    const place = answer.closest(".ds-follows") ?? answer;
    places.add(place);
    if (answer.dataset.picture !== current) stale.add(place);
  }
  for (const place of places) {
    if (place.classList.contains("is-stale") === stale.has(place)) continue;
    place.classList.toggle("is-stale", stale.has(place));
    place.inert = stale.has(place);
    place.setAttribute("aria-busy", stale.has(place));
  }
};

// The malignancy threshold: every stop's figures lie in the panel under the slider.
let points = null, parsed = null;
const read = () => {
  const written = document.querySelector("[data-points]")?.dataset.points;
  if (written && written !== parsed) {
    points = JSON.parse(written);
    parsed = written;
  }
  return points;
};

const write = (element, text) => {
  if (element.textContent !== text) element.textContent = text;
};

const chosen = () => {
  const slider = document.querySelector("#point input[type=range]");
  return slider && points && Number(slider.max) === points.stops.length - 1
    ? Number(slider.value) : points?.presets.balanced;
};

const unescape = (html) => html.replaceAll("&lt;", "<").replaceAll("&gt;", ">");

const drawLine = () => {
  if (!read()) return;
  const stop = points.stops[chosen()];
  if (!stop) return;
  const [threshold, texts, said] = stop;
  for (const element of document.querySelectorAll("[data-figure]"))
    write(element, unescape(texts[element.dataset.figure] ?? ""));
  for (const line of document.querySelectorAll("[data-line]"))
    line.style.left = `${100 * threshold}%`;
  for (const element of document.querySelectorAll("[data-malignancy]")) {
    const isMalignant = Number(element.dataset.malignancy) >= threshold;
    element.classList.toggle("is-malignant", isMalignant);
    element.classList.toggle("is-benign", !isMalignant);
  }
  for (const name of Object.keys(points.presets))
    document.getElementById(`point-${name}`)?.classList.toggle(
      "is-chosen", points.presets[name] === chosen());
  const slider = document.querySelector("#point input[type=range]");
  if (slider?.getAttribute("aria-valuetext") !== unescape(said))
    slider?.setAttribute("aria-valuetext", unescape(said));
  keepThreshold();
};

// The page may be loaded anew: in another language, or by going back. The server has the picture for
// half a minute more, whole; for who comes back later it lies in the memory of the browser's tab,
// which forgets it the moment it is unpacked. One too large for that stays behind.
const LUGGAGE = "dermsim-picture", THRESHOLD = "dermsim-threshold";
let luggage = sessionStorage.getItem(LUGGAGE);
sessionStorage.removeItem(LUGGAGE);

const pack = () => {
  const image = document.querySelector("#picture img[src]");
  if (!image?.naturalWidth || image.src.startsWith("data:")) return; // a small copy, not the picture
  const canvas = document.createElement("canvas");
  [canvas.width, canvas.height] = [image.naturalWidth, image.naturalHeight];
  canvas.getContext("2d").drawImage(image, 0, 0);
  try {
    sessionStorage.setItem(LUGGAGE, canvas.toDataURL());
  } catch (error) {
    if (error.name !== "QuotaExceededError") throw error;
  }
};

const unpack = () => {
  const arrived = document.querySelector("#arrived [data-arrived]")?.dataset.arrived;
  const input = [...document.querySelectorAll("#picture input[type=file]")].at(-1);
  if (arrived === "picture") luggage = null; // the server had it still
  // the facts about the model come last, when Gradio listens to the upload
  if (!luggage || !arrived || !input || !document.querySelector(".ds-facts li")) return;
  const bytes = Uint8Array.from(atob(luggage.split(",")[1]), (letter) => letter.charCodeAt(0));
  luggage = null;
  const files = new DataTransfer();
  files.items.add(new File([bytes], "picture.png", { type: "image/png" }));
  input.files = files.files;
  input.dispatchEvent(new Event("change", { bubbles: true }));
};

const keepThreshold = () => {
  const slider = document.querySelector("#point input[type=range]");
  const stop = points?.stops[chosen()];
  if (stop && Number(slider?.max) === points.stops.length - 1)
    sessionStorage.setItem(THRESHOLD, stop[3]);
};

let waiting = false;
const keepTrue = () => {
  hideOthers();
  if (waiting) return;
  waiting = true;
  requestAnimationFrame(() => {
    waiting = false;
    drawLine();
    unpack();
  });
};

window.dermsimLine = () => requestAnimationFrame(() => requestAnimationFrame(drawLine));
window.dermsimPreset = (name) => read()?.presets[name] ?? -1;
window.addEventListener("pagehide", pack);
window.addEventListener("pageshow", (event) => event.persisted && sessionStorage.removeItem(LUGGAGE));
document.addEventListener("input", (event) => event.target.closest?.("#point") && keepTrue());
new MutationObserver(keepTrue).observe(document.body, {
  childList: true, subtree: true, attributes: true, attributeFilter: ["src", "data-picture", "value", "max"],
});
document.getElementById("summary")?.setAttribute("aria-live", "polite");
keepTrue();
