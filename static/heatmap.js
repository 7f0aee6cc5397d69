// The slider that sets how strongly the heatmap covers the picture. Asked of the document: a poll may bring the heatmap.
document.addEventListener("input", ({ target }) => {
  if (!target.matches("[data-heatmap-strength]")) return;
  const strength = Number(target.value);
  document.querySelector(".heatmap").style.opacity = strength / 100;
  target.parentElement.querySelector("output").value = `${strength}\u00a0%`;
});
