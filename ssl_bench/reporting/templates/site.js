"use strict";
// Every page: light or dark as the reader's system has it, or as they choose.
(() => {
  const root = document.documentElement;
  root.classList.add("script");
  const kept = () => {
    try { return localStorage.getItem("theme"); } catch { return null; }
  };
  const keep = (theme) => {
    try { localStorage.setItem("theme", theme); } catch { /* private window: this page only */ }
  };
  if (["light", "dark"].includes(kept())) root.dataset.theme = kept();
  const dark = () => (root.dataset.theme || (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light")) === "dark";
  addEventListener("DOMContentLoaded", () => {
    const button = document.getElementById("theme");
    const name = () => (button.textContent = dark() ? "Light" : "Dark");
    button.hidden = false;
    button.setAttribute("aria-label", "Change between dark and light");
    button.addEventListener("click", () => {
      root.dataset.theme = dark() ? "light" : "dark";
      keep(root.dataset.theme);
      name();
    });
    name();
  });
})();
