// The keys of the review page: each presses a button or a link that is there for the mouse too.
{
  const KEPT_AS = "review-keys";
  const TAKES_KEYS = "input:not([type=checkbox]), textarea, select, [contenteditable], [role=slider], [role=application]";
  const form = document.querySelector("form[data-verdict]");
  const useKeys = document.querySelector("[data-use-keys]");
  let isLoaded = document.readyState === "complete";
  let isSent = false;

  // Without storage, as in some private windows, the switch holds for this page.
  const kept = () => { try { return localStorage.getItem(KEPT_AS); } catch { return null; } };
  const keep = (value) => { try { localStorage.setItem(KEPT_AS, value); } catch { /* not kept */ } };

  useKeys.checked = kept() !== "off";
  useKeys.addEventListener("change", () => keep(useKeys.checked ? "on" : "off"));
  window.addEventListener("load", () => { isLoaded = true; });

  // One verdict for one press. The back button brings the page back as it was left.
  form.addEventListener("submit", (event) => {
    if (isSent) event.preventDefault();
    isSent = true;
  });
  window.addEventListener("pageshow", (event) => { if (event.persisted) location.reload(); });

  document.addEventListener("keydown", (event) => {
    const isOurs = useKeys.checked && !event.defaultPrevented && !event.repeat && !event.isComposing;
    if (!isOurs || event.ctrlKey || event.metaKey || event.altKey || event.target.closest(TAKES_KEYS)) return;
    const key = event.key.toLowerCase();
    const control = [...document.querySelectorAll("[data-keys]")].find((each) => each.dataset.keys.split(" ").includes(key));
    if (key === "n") form.querySelector("textarea").focus();
    // A verdict on a picture that is not there yet is a slip of the finger.
    else if (control && (isLoaded || control.localName === "a")) control.click();
    else return;
    event.preventDefault();
  });
}
