// Says in words what Gradio draws without any: the drawings to click, the pictures, the map. NAMES
// and IMAGES come from Python, in each of the page's languages; Gradio replaces elements as it
// likes, so the page is watched.
const language = document.documentElement.lang in NAMES ? document.documentElement.lang : "en";

const say = (element, attribute, text) => {
  if (element.getAttribute(attribute) !== text) element.setAttribute(attribute, text);
};

const name = () => {
  for (const button of document.querySelectorAll("#examples button.gallery-item")) {
    const code = button.querySelector("img")?.src.match(/synthetic-(\w+)\.png/)?.[1];
    if (code) say(button, "aria-label", NAMES[language][code]);
  }
  for (const [selector, text] of Object.entries(IMAGES[language]))
    for (const image of document.querySelectorAll(`${selector} img`)) say(image, "alt", text);
  const map = document.querySelector("#atlas-plot .js-plotly-plot");
  if (map) {
    say(map, "role", "figure");
    say(map, "aria-label", MAP[language]);
  }
};

let waiting = false;
new MutationObserver(() => {
  if (waiting) return;
  waiting = true;
  requestAnimationFrame(() => {
    waiting = false;
    name();
  });
}).observe(document.body, { childList: true, subtree: true });
name();
