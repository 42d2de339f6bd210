// A button is called what is written on it, and not by a second name that the theme gives it.
addEventListener("DOMContentLoaded", () => {
  for (const each of document.querySelectorAll("summary[aria-label], .search-button-field[aria-label]")) {
    each.removeAttribute("aria-label");
  }
});

// What scrolls sideways, a wide formula or table, can be reached and scrolled with the keyboard.
function reach() {
  for (const each of document.querySelectorAll("pre, div.math, .bd-article table, div.output")) {
    if (each.scrollWidth > each.clientWidth + 1) each.tabIndex = 0;
  }
}
addEventListener("load", () => {
  const formulas = window.MathJax && MathJax.startup && MathJax.startup.promise;
  Promise.resolve(formulas).then(reach);
});
addEventListener("resize", reach);
