// Small comforts; every page works without them.

// The server writes dates in this browser's time zone, unless the person chose another one.
{
  const zone = Intl.DateTimeFormat().resolvedOptions().timeZone;
  const secure = location.protocol === "https:" ? "; Secure" : "";
  if (zone) document.cookie = `time_zone=${zone}; Path=/; Max-Age=31536000; SameSite=Lax${secure}`;
}

// A form is sent once: its button waits and says so.
document.addEventListener("submit", (event) => {
  const button = event.submitter;
  if (event.defaultPrevented || !button?.dataset.busy) return;
  const spinner = document.createElement("span");
  spinner.className = "spinner-border spinner-border-sm me-2";
  spinner.setAttribute("aria-hidden", "true");
  button.replaceChildren(spinner, button.dataset.busy);
  button.disabled = true;
});

// The browser's back button brings the page back as it was left, with its button waiting.
window.addEventListener("pageshow", (event) => {
  if (event.persisted && document.querySelector("button[data-busy]:disabled")) location.reload();
});

// What waits for an answer asks again when the server says: the longer the queue, the later. Where it says nothing, or can't
// be reached, in a while.
document.addEventListener("htmx:afterRequest", ({ detail: { elt, xhr } }) => {
  if (!elt.isConnected || !elt.getAttribute("hx-trigger")?.includes("look-again")) return;
  const seconds = Number(xhr.getResponseHeader("X-Look-Again") ?? xhr.getResponseHeader("Retry-After")) || 5;
  setTimeout(() => htmx.trigger(elt, "look-again"), 1000 * seconds);
});

// Signed out in another tab, or the scan is gone: show the page that says so instead of polling on.
document.addEventListener("htmx:beforeSwap", (event) => {
  const { xhr, target } = event.detail;
  if (xhr.status === 204) return;
  if (xhr.status >= 500) return;
  if (xhr.status >= 400 || !xhr.response.includes(`id="${target.id}"`)) {
    event.detail.shouldSwap = false;
    location.reload();
  }
});
