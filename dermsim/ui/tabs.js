// The row of tabs: which is open (said to the style sheet, and kept while the page is loaded anew),
// moved through by arrow keys; the link that skips to it; the drawings, folded away on a phone.
const KEPT = "dermsim-tab";
const kept = sessionStorage.getItem(KEPT);
const all = () => [...document.querySelectorAll("#tabs [role=tab][data-tab-id]")];
const nameOf = (tab) => tab.dataset.tabId;
let reopened = false;

const say = (element, name, value) => {
  if (element.getAttribute(name) !== value) element.setAttribute(name, value);
};

const look = () => {
  const tabs = all().filter((tab) => tab.offsetParent !== null);
  const open = tabs.find((tab) => tab.getAttribute("aria-selected") === "true");
  if (!open) return;
  if (!reopened) {
    reopened = true;
    const before = tabs.find((tab) => nameOf(tab) === kept);
    if (before && before !== open) return before.click();
  }
  say(document.body, "data-tab", nameOf(open));
  sessionStorage.setItem(KEPT, nameOf(open));
  // one stop for the keyboard; the arrow keys go on from there
  for (const tab of tabs) say(tab, "tabindex", tab === open ? "0" : "-1");
};

const STEPS = { ArrowRight: 1, ArrowLeft: -1 };
document.addEventListener("keydown", (event) => {
  const tab = event.target.closest?.("#tabs [role=tab]");
  if (!tab || event.ctrlKey || event.metaKey || event.altKey) return;
  const tabs = all().filter((each) => each.offsetParent !== null);
  const ends = { Home: 0, End: tabs.length - 1 };
  const step = STEPS[event.key];
  if (step === undefined && ends[event.key] === undefined) return;
  const next = step === undefined ? ends[event.key]
    : (tabs.indexOf(tab) + step + tabs.length) % tabs.length;
  event.preventDefault();
  tabs[next].focus();
  tabs[next].click();
});

document.addEventListener("click", (event) => {
  const skip = event.target.closest?.("a.ds-skip");
  if (skip) {
    event.preventDefault();
    all().find((tab) => tab.getAttribute("aria-selected") === "true")?.focus();
  }
  const title = event.target.closest?.("#examples .label, #examples label");
  if (title) document.body.classList.toggle("shows-drawings");
});

let waiting = false;
new MutationObserver(() => {
  if (waiting) return;
  waiting = true;
  requestAnimationFrame(() => {
    waiting = false;
    look();
  });
}).observe(document.body, {
  childList: true, subtree: true, attributes: true, attributeFilter: ["aria-selected"],
});
look();
