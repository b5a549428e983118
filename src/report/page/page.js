// Draws the page's charts and heat maps from the JSON beside it. Charts are Chart.js's; what is set up here is which.
"use strict";
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const charts = [];

  // Past the colours, the lines' dashes and the points' shapes tell series apart.
  const DASHES = [[], [7, 4], [2, 3], [9, 3, 2, 3]];
  const POINTS = ["circle", "triangle", "rect", "rectRot", "star", "crossRot", "rectRounded", "cross"];

  const element = (name, properties = {}, ...children) => {
    const made = Object.assign(document.createElement(name), properties);
    made.append(...children);
    return made;
  };

  // ---- light and dark ----

  const root = document.documentElement;
  const prefersDark = window.matchMedia("(prefers-color-scheme: dark)");
  let chosenTheme = null;
  let theme = "light";
  const colourOf = (i) => data[theme][i % data[theme].length];
  const variable = (name) => getComputedStyle(root).getPropertyValue(name).trim();

  function setTheme(next) {
    theme = next;
    root.dataset.theme = theme;
    document.getElementById("theme").textContent = theme === "dark" ? "Light" : "Dark";
    document.querySelectorAll(".swatch").forEach((swatch) => drawSwatch(swatch));
    charts.forEach(paint);
  }

  // A piece of a series' line, beside its name.
  function drawSwatch(swatch) {
    const i = Number(swatch.dataset.series), [on, off] = DASHES[Math.floor(i / data.light.length) % DASHES.length];
    const colour = colourOf(i);
    const stripes = on ? `${colour} 0 ${on}px, transparent 0 ${on + off}px` : `${colour} 0 100%`;
    swatch.style.background = `repeating-linear-gradient(90deg, ${stripes}) center / 100% 3px no-repeat`;
  }

  // ---- numbers as text ----

  function show(value, figure) {
    if (value === null || value === undefined || !Number.isFinite(value)) return "–";
    const digits = figure.unit === "" ? 4 : Math.abs(value) < 1 && figure.y === "density" ? 3 : 2;
    return value.toFixed(digits) + (figure.unit === "%" ? " %" : figure.unit && ` ${figure.unit}`);
  }

  const scaled = (values, figure) => values.map((value) => (value === null ? null : value * figure.scale));

  // ---- charts ----

  // Each series is three data sets: the mean, and the edges of the band around it.
  function datasets(part, figure) {
    return part.series.flatMap((series, i) => {
      const mean = scaled(series[figure.y], figure);
      const sd = scaled(series[figure.y + "_sd"], figure);
      const xs = figure.x === "density" ? scaled(series.density, { scale: 100 }) : mean.map((_, t) => t);
      const line = (pick) => mean.map((value, t) => ({ x: xs[t], y: value === null ? null : pick(value, sd[t] ?? 0) }));
      const edge = { pointRadius: 0, pointHitRadius: 0, borderWidth: 0, series: i, band: true };
      return [
        {
          label: series.name, data: line((value) => value), sd, n: series.n, series: i, borderWidth: 2, tension: 0,
          borderDash: DASHES[Math.floor(i / data.light.length) % DASHES.length], pointStyle: POINTS[i % POINTS.length],
          pointRadius: 2.5, pointHoverRadius: 5, spanGaps: true,
        },
        { ...edge, data: line((value, d) => value - d), fill: false },
        { ...edge, data: line((value, d) => value + d), fill: "-1" },
      ];
    });
  }

  // The phases of the chosen series behind the curves, and the iteration to stop at.
  const phases = {
    id: "phases",
    beforeDatasetsDraw(chart) {
      const { ctx, chartArea: area, scales: { x } } = chart;
      const series = chart.part.series[chart.part.chosen];
      if (chart.figure.x === "density" || !series || !series.phases) return;
      ctx.save();
      ctx.font = "11px system-ui, sans-serif";
      for (const phase of series.phases) {
        const from = Math.max(x.getPixelForValue(phase.from), area.left);
        const to = Math.min(x.getPixelForValue(phase.to), area.right);
        ctx.fillStyle = phase.colour + (theme === "dark" ? "38" : "22");
        ctx.fillRect(from, area.top, to - from, area.height);
        ctx.fillStyle = variable("--faint");
        if (ctx.measureText(phase.name).width + 6 < to - from) ctx.fillText(phase.name, from + 3, area.top + 12);
      }
      if (series.recommended !== null) {
        ctx.strokeStyle = variable("--text");
        ctx.setLineDash([4, 4]);
        ctx.beginPath();
        ctx.moveTo(x.getPixelForValue(series.recommended), area.top);
        ctx.lineTo(x.getPixelForValue(series.recommended), area.bottom);
        ctx.stroke();
      }
      ctx.restore();
    },
    afterRender(chart) {
      chart.canvas.closest("figure").dataset.drawn = chart.data.datasets.length / 3;
    },
  };

  function tooltip(figure) {
    return {
      filter: (item) => !item.dataset.band,
      itemSort: (a, b) => b.parsed.y - a.parsed.y,
      callbacks: {
        title: (items) => {
          if (!items.length) return "";
          return figure.x === "density" ? `${show(items[0].parsed.x, { unit: "%", y: "density" })} of the weights, iteration ${items[0].dataIndex}` : `iteration ${items[0].dataIndex}`;
        },
        label: (item) => {
          const sd = item.dataset.sd[item.dataIndex], n = item.dataset.n[item.dataIndex];
          const spread = sd === null ? "" : ` ± ${show(sd, figure)} (${n} runs)`;
          return `${item.dataset.label}: ${show(item.parsed.y, figure)}${spread}`;
        },
      },
    };
  }

  const title = (text) => ({ display: true, text });
  const decade = (value) => ([1, 2, 5].includes(Number(value.toExponential()[0])) && value.toExponential()[1] === "e" ? String(value) : "");

  function axes(part, figure) {
    const density = { type: "logarithmic", reverse: true, title: title("weights kept, %"), ticks: { callback: decade, maxRotation: 0 } };
    const iteration = { type: "linear", min: 0, title: title("iteration"), ticks: { precision: 0, maxRotation: 0 } };
    const y = { type: figure.log ? "logarithmic" : "linear", title: title(figure.label) };
    if (figure.top) y.min = Math.floor(figure.scale * Math.max(...part.series.flatMap((series) => series[figure.y])) - figure.top);
    if (figure.log) y.ticks = { callback: decade };
    return { x: figure.x === "density" ? density : iteration, y };
  }

  function paint(chart) {
    for (const set of chart.data.datasets) {
      const colour = colourOf(set.series);
      set.borderColor = set.pointBorderColor = colour;
      set.pointBackgroundColor = colour;
      set.backgroundColor = set.band ? colour + "2a" : colour;
    }
    for (const axis of Object.values(chart.options.scales)) {
      axis.grid = { color: variable("--line") };
      axis.ticks.color = axis.title.color = variable("--faint");
    }
    chart.update("none");
  }

  // The arrow keys walk through the iterations, as the mouse does.
  function walk(chart, step) {
    const sets = chart.data.datasets.map((set, i) => ({ set, i })).filter(({ set, i }) => !set.band && chart.isDatasetVisible(i));
    const length = Math.max(0, ...sets.map(({ set }) => set.data.length));
    if (!length) return;
    chart.at = Math.min(length - 1, Math.max(0, (chart.at ?? (step > 0 ? -1 : length)) + step));
    const active = sets.filter(({ set }) => set.data[chart.at] && set.data[chart.at].y !== null).map(({ i }) => ({ datasetIndex: i, index: chart.at }));
    chart.setActiveElements(active);
    chart.tooltip.setActiveElements(active, { x: 0, y: 0 });
    chart.update("none");
  }

  function table(part, figure) {
    const length = Math.max(...part.series.map((series) => series.n.length));
    const head = element("tr", {}, element("th", { textContent: "iteration" }), ...part.series.map((series) => element("th", { textContent: series.name })));
    const rows = Array.from({ length }, (_, t) => element("tr", {}, element("td", { textContent: t }), ...part.series.map((series) => {
      const value = series[figure.y][t] ?? null, sd = series[figure.y + "_sd"][t] ?? null;
      const spread = sd === null ? "" : ` ± ${show(sd * figure.scale, figure)}`;
      return element("td", { textContent: value === null ? "–" : show(value * figure.scale, figure) + spread });
    })));
    return element("div", { className: "scroll" }, element("table", {}, element("thead", {}, head), element("tbody", {}, ...rows)));
  }

  function addFigure(part, figure, place) {
    const canvas = element("canvas", { tabIndex: 0 });
    canvas.setAttribute("role", "img");
    canvas.setAttribute("aria-label", `${figure.title}: ${figure.text} The numbers are in the table below; the arrow keys show them one by one.`);
    const numbers = element("details", { className: "plain" }, element("summary", { textContent: "Numbers" }));
    numbers.addEventListener("toggle", () => { if (numbers.open && numbers.children.length === 1) numbers.append(table(part, figure)); });
    const box = element("figure", { id: `${part.id}-${figure.name}` }, element("h4", { textContent: figure.title }),
      element("div", { className: "canvas" }, canvas), element("figcaption", { textContent: figure.text }), numbers);
    place.append(box);
    const chart = new Chart(canvas, {
      type: "line",
      data: { datasets: datasets(part, figure) },
      options: {
        animation: false, maintainAspectRatio: false, parsing: false, normalized: figure.x !== "density", scales: axes(part, figure),
        interaction: { mode: figure.x === "density" ? "nearest" : "index", intersect: false },
        plugins: { legend: { display: false }, tooltip: tooltip(figure) },
      },
      plugins: [{ ...phases, beforeInit: (made) => { made.part = part; made.figure = figure; } }],
    });
    canvas.addEventListener("keydown", (event) => {
      const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
      if (!step) return;
      event.preventDefault();
      walk(chart, step);
    });
    charts.push(chart);
    part.charts.push(chart);
  }

  // ---- heat maps ----

  // A colour of the scale for part in [0, 1].
  function heat(part) {
    const at = Math.min(Math.max(part, 0), 1) * (data.heat.length - 1), i = Math.min(Math.floor(at), data.heat.length - 2);
    const mix = [1, 3, 5].map((k) => {
      const [a, b] = [data.heat[i], data.heat[i + 1]].map((colour) => parseInt(colour.slice(k, k + 2), 16));
      return Math.round(a + (b - a) * (at - i));
    });
    return `rgb(${mix.join(" ")})`;
  }

  const HEATS = [
    { key: "density", title: "Density by layer", log: true, show: (v) => `${(100 * v).toPrecision(3)} %` },
    { key: "pqi", title: "PQ Index by layer", log: false, show: (v) => v.toFixed(4) },
  ];

  function heatTable(series, kind, range, said) {
    const length = series.n.length;
    const part = (value) => {
      const [low, high, v] = [...range, value].map((x) => (kind.log ? Math.log(x) : x));
      return high > low ? (v - low) / (high - low) : 0.5;
    };
    const head = element("tr", {}, element("td"), ...Array.from({ length }, (_, t) => element("th", { scope: "col", textContent: length > 16 && t % 5 ? "" : t })));
    const rows = series.layers.map((layer) => element("tr", {}, element("th", { scope: "row", textContent: layer.name }), ...layer[kind.key].map((value, t) => {
      const cell = element("td");
      if (value === null) return cell;
      const text = `${layer.name}, iteration ${t}: ${kind.show(value)}`;
      cell.title = text;
      cell.style.background = heat(part(value));
      cell.addEventListener("pointerenter", () => { said.textContent = text; });
      return cell;
    })));
    return element("div", { className: "scroll" }, element("table", { className: "heat" }, element("thead", {}, head), element("tbody", {}, ...rows)));
  }

  function addHeats(part, place) {
    place.replaceChildren(...HEATS.map((kind) => {
      const all = part.series.flatMap((series) => series.layers.flatMap((layer) => layer[kind.key])).filter((v) => v !== null && (!kind.log || v > 0));
      const range = [Math.min(...all), Math.max(...all)];
      const series = part.series[part.chosen], said = element("output");
      const scale = element("span", { className: "scale" });
      scale.style.background = `linear-gradient(90deg, ${data.heat.join(", ")})`;
      const caption = element("figcaption", {}, all.length ? kind.show(range[0]) : "", scale, all.length ? kind.show(range[1]) : "", kind.log ? " (logarithmic)" : "");
      const box = element("figure", { id: `${part.id}-layers-${kind.key}` }, element("h4", { textContent: `${kind.title}: ${series.name}` }), heatTable(series, kind, range, said), said, caption);
      box.dataset.drawn = series.layers.length;
      return box;
    }));
  }

  // ---- the controls of a part ----

  function legend(part) {
    return part.series.map((series, i) => {
      const swatch = element("span", { className: "swatch" });
      swatch.dataset.series = i;
      const button = element("button", { type: "button" }, swatch, series.name);
      button.setAttribute("aria-pressed", "true");
      button.addEventListener("click", () => {
        part.hidden[i] = !part.hidden[i];
        button.setAttribute("aria-pressed", String(!part.hidden[i]));
        refresh(part);
      });
      return button;
    });
  }

  function refresh(part) {
    for (const chart of part.charts) {
      chart.data.datasets.forEach((set, k) => chart.setDatasetVisibility(k, !part.hidden[set.series] && (part.bands || !set.band)));
      chart.update("none");
    }
  }

  function addPart(part, k) {
    const place = document.getElementById(`part-${k}`);
    Object.assign(part, { id: `part-${k}`, charts: [], hidden: part.series.map(() => false), chosen: 0, bands: true });
    const curves = element("div", { className: "charts" }), layers = element("div", { className: "charts" });
    const bands = element("input", { type: "checkbox", checked: true });
    bands.addEventListener("change", () => { part.bands = bands.checked; refresh(part); });
    const choice = element("select", {}, ...part.series.map((series, i) => element("option", { value: i, textContent: series.name })));
    choice.addEventListener("change", () => {
      part.chosen = Number(choice.value);
      addHeats(part, layers);
      part.charts.forEach((chart) => chart.draw());
    });
    place.append(
      element("h3", { textContent: "Curves" }),
      element("div", { className: "controls" }, ...legend(part),
        element("label", { className: "switch plain" }, bands, " standard deviation"),
        element("label", { className: "switch" }, "phases and layers of ", choice)),
      curves, element("h3", { textContent: "Layers" }), layers);
    if (typeof Chart === "undefined") curves.append(element("p", { textContent: "This program was built without Chart.js: no curves." }));
    else for (const figure of data.figures) addFigure(part, figure, curves);
    addHeats(part, layers);
  }

  if (typeof Chart !== "undefined") Chart.defaults.font.family = getComputedStyle(document.body).fontFamily;
  data.sections.forEach(addPart);
  const follow = () => setTheme(chosenTheme ?? (prefersDark.matches ? "dark" : "light"));
  prefersDark.addEventListener("change", follow);
  document.getElementById("theme").addEventListener("click", () => { chosenTheme = theme === "dark" ? "light" : "dark"; follow(); });
  window.addEventListener("beforeprint", () => { setTheme("light"); charts.forEach((chart) => chart.resize()); });
  window.addEventListener("afterprint", follow);
  follow();
  root.dataset.charts = charts.length;
})();
