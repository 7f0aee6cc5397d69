// The viewer puts a link to each operation into the button that opens it. A button may hold nothing that takes the
// focus: who reads by ear or goes by keys would find the one within the other. Without an address it is only text.
new MutationObserver(() => {
  for (const link of document.querySelectorAll(".opblock-summary-control a[href], .opblock-tag a[href]")) {
    link.removeAttribute("href");
  }
}).observe(document.getElementById("swagger-ui"), { childList: true, subtree: true, attributeFilter: ["href"] });
