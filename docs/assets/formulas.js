// Sets the formulas that arithmatex has marked, from files alone.
for (const element of document.querySelectorAll(".arithmatex")) {
  const tex = element.textContent.trim();
  katex.render(tex.slice(2, -2), element, { displayMode: tex.startsWith("\\["), throwOnError: false, errorColor: "inherit" });
}
