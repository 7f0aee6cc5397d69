// What Django's admin leaves to wish for: its chooser of groups and permissions gives names to icons, and only what has a
// role may have a name. The chooser is built when the page has loaded, by a listener that came before this one.
window.addEventListener("load", () => {
  for (const icon of document.querySelectorAll(".selector .help-tooltip[aria-label]")) icon.setAttribute("role", "img");
});
