// Light or dark: as the person chose at the foot of a page, else as the system is, also when that changes meanwhile.
// Loaded before the page is drawn, so that it never flashes. Django's admin keeps its choice in the same place.
{
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const root = document.documentElement;

  // A browser may forbid to store anything; then the choice holds for this page.
  let chosen = "auto";
  const read = () => {
    try {
      chosen = localStorage.getItem("theme") ?? chosen;
    } catch {}
  };
  const show = () => {
    const isDark = chosen === "dark" || (chosen !== "light" && dark.matches);
    root.dataset.bsTheme = isDark ? "dark" : "light";
    root.classList.toggle("dark-mode", isDark); // the API's page knows it by this name
    for (const choice of document.querySelectorAll("[data-theme-choice]")) choice.value = chosen;
  };

  dark.addEventListener("change", show);
  // Chosen in another tab.
  addEventListener("storage", () => {
    read();
    show();
  });
  document.addEventListener("change", ({ target }) => {
    if (!target.matches("[data-theme-choice]")) return;
    chosen = target.value;
    try {
      localStorage.setItem("theme", chosen);
    } catch {}
    show();
  });
  // The choice needs this script, so without it there is none.
  document.addEventListener("DOMContentLoaded", () => {
    for (const part of document.querySelectorAll("[data-theme-switch]")) part.hidden = false;
    show();
  });
  read();
  show();
}
