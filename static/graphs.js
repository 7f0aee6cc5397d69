// Draws each canvas[data-graph] with Chart.js from the JSON that it names, in the colours of the style sheet.
{
  // By the name that the page gives: the property that holds it, and the fill where it is another one.
  const COLOURS = {
    accent: ["--accent"],
    calm: ["--calm"],
    finding: ["--finding"],
    caution: ["--caution-edge"],
    track: ["--bs-secondary-color", "--track"],
  };
  const colour = (property) => getComputedStyle(document.documentElement).getPropertyValue(property).trim();

  const dataset = (series, stack) => {
    const [edge, fill] = COLOURS[series.colour].map(colour);
    const isLine = series.kind === "line";
    return {
      type: series.kind,
      label: series.name,
      data: series.values,
      order: isLine ? 0 : 1,
      borderColor: edge,
      backgroundColor: fill ?? edge,
      borderWidth: isLine ? 2 : 1,
      borderDash: series.is_dashed ? [6, 4] : [],
      pointStyle: isLine ? (series.is_dashed ? "rect" : "circle") : "rect",
      pointRadius: series.values.length > 60 ? 1 : 2.5,
      stack,
    };
  };

  const options = (graph) => {
    const text = colour("--bs-body-color");
    const along = graph.lying ? "y" : "x";
    const axis = (title, isValue) => ({
      stacked: graph.stacked,
      beginAtZero: true,
      suggestedMax: isValue ? graph.most ?? undefined : undefined,
      title: { display: true, text: title, color: text },
      ticks: { color: text, maxRotation: 60, autoSkip: isValue || !graph.lying, precision: graph.unit ? undefined : 0 },
      grid: { color: colour("--bs-border-color"), display: isValue },
      border: { color: colour("--bs-secondary-color") },
    });
    return {
      animation: false,
      responsive: true,
      maintainAspectRatio: false,
      indexAxis: along,
      locale: document.documentElement.lang,
      interaction: { mode: "index", intersect: false, axis: along },
      scales: { x: axis(graph.xTitle, graph.lying), y: axis(graph.yTitle, !graph.lying) },
      plugins: {
        legend: { display: graph.series.length > 1, labels: { color: text, usePointStyle: true, boxHeight: 8 } },
        tooltip: {
          callbacks: {
            label: ({ dataset: { label }, raw }) =>
              `${label}: ${Number(raw).toLocaleString(document.documentElement.lang, { maximumFractionDigits: 1 })}${graph.unit}`,
          },
        },
      },
    };
  };

  const draw = () => {
    for (const canvas of document.querySelectorAll("canvas[data-graph]")) {
      const graph = JSON.parse(document.getElementById(canvas.dataset.graph).textContent);
      Chart.getChart(canvas)?.destroy();
      new Chart(canvas, {
        type: "bar",
        data: {
          labels: graph.labels,
          datasets: graph.series.map((series) => dataset(series, graph.stacked ? "all" : undefined)),
        },
        options: options(graph),
      });
    }
  };

  // theme.js changes it when the system turns dark or light.
  new MutationObserver(draw).observe(document.documentElement, { attributeFilter: ["data-bs-theme"] });
  draw();
}
