// What the viewer of the OpenAPI document leaves to wish for, for who reads by ear or goes by keys.
{
  const mend = () => {
    // A button may hold nothing that takes the focus; without an address the link in it is only text.
    for (const link of document.querySelectorAll(".opblock-summary-control a[href], .opblock-tag a[href]")) {
      link.removeAttribute("href");
    }
    for (const choice of document.querySelectorAll(".examples-select-element:not([aria-label])")) {
      choice.setAttribute("aria-label", "Example");
    }
    // What scrolls has to be reached by the keyboard.
    for (const code of document.querySelectorAll("pre.microlight:not([tabindex])")) code.tabIndex = 0;
  };
  const watched = { childList: true, subtree: true, attributeFilter: ["href"] };
  new MutationObserver(mend).observe(document.getElementById("swagger-ui"), watched);
}
