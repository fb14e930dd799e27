"use strict";
// Formulas, figures that enlarge, the search, and anchors of the page that once held everything.

for (const element of window.katex ? document.querySelectorAll(".tex") : []) {
  const typed = element.textContent;
  katex.render(element.dataset.tex, element, { throwOnError: false, errorColor: "inherit" });
  element.setAttribute("title", typed);
}

const large = document.getElementById("large");
for (const link of document.querySelectorAll("a.zoom")) {
  link.addEventListener("click", (event) => {
    if (event.ctrlKey || event.metaKey || event.shiftKey) return;
    event.preventDefault();
    const [picture, shown] = [link.querySelector("img"), large.querySelector("img")];
    shown.src = link.href;
    shown.alt = picture.alt;
    large.showModal();
  });
}
large.addEventListener("click", () => large.close());

const root = document.body.dataset.root;
const search = document.getElementById("search");
const found = document.getElementById("found");
search.addEventListener("input", () => {
  const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
  const matches = (entry) => entry.title && words.every((word) => `${entry.id} ${entry.title}`.toLowerCase().includes(word));
  const first = (entry) => (entry.id.toLowerCase().includes(words[0]) ? 0 : 1);
  const entries = words.length ? window.ENTRIES.filter(matches).sort((a, b) => first(a) - first(b)).slice(0, 15) : [];
  found.replaceChildren(
    ...entries.map((entry) => {
      const [item, link, title] = ["li", "a", "span"].map((name) => document.createElement(name));
      link.href = root + entry.at;
      link.append(entry.id, title);
      title.textContent = entry.title;
      item.append(link);
      return item;
    }),
  );
  found.hidden = !words.length;
  if (words.length && !entries.length) found.textContent = "\u00a0 nothing found";
});
search.addEventListener("keydown", (event) => {
  if (event.key === "Escape") search.value = "";
  if (event.key === "Escape") found.hidden = true;
  if (event.key === "Enter") found.querySelector("a")?.click();
});
document.addEventListener("click", (event) => {
  if (!event.target.closest(".search")) found.hidden = true;
  if (event.target.closest("#found a")) found.hidden = true;
});

const contents = document.querySelector("nav details");
if (contents && window.innerWidth < 1100) contents.open = false;

if (location.hash) {
  const moved = document.querySelector("[data-index]") && window.ENTRIES.find((entry) => entry.at.endsWith(location.hash));
  if (moved) location.replace(moved.at);
  else document.getElementById(decodeURIComponent(location.hash.slice(1)))?.scrollIntoView();
}
