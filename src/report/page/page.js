// Draws a report's curves and heat maps from the JSON beside it. The curves are Chart.js's; here is which, and how
// they look. Names come from runs, that is from anywhere: they are only ever set as text.
"use strict";
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const root = document.documentElement;
  const charts = [];
  let theme = "light";

  // Past the colours, the lines' dashes and the points' shapes tell series apart.
  const DASHES = [[], [7, 4], [2, 3], [9, 3, 2, 3]];
  const POINTS = ["circle", "triangle", "rect", "rectRot", "star", "crossRot", "rectRounded", "cross"];
  const colourOf = (i) => data[theme][i % data[theme].length];
  const dashOf = (i) => DASHES[Math.floor(i / data.light.length) % DASHES.length];
  const variable = (name) => getComputedStyle(root).getPropertyValue(name).trim();

  // element("td", { textContent: "7" }) with children after it.
  function element(name, properties = {}, ...children) {
    const made = Object.assign(document.createElement(name), properties);
    made.append(...children);
    return made;
  }

  const rowHead = (textContent) => element("th", { scope: "row", textContent });
  const scroll = (...children) => element("div", { className: "scroll" }, ...children);

  // ---- numbers as text ----

  function show(value, figure) {
    if (value === null || value === undefined || !Number.isFinite(value)) return "–";
    if (figure.unit === "") return value.toFixed(4);
    return `${figure.y === "density" ? value.toPrecision(3) : value.toFixed(2)} ${figure.unit}`;
  }

  const showSpread = (sd, figure) => (sd === null || sd === undefined ? "" : ` ± ${show(sd, figure)}`);
  const scaled = (values, scale) => values.map((value) => (value === null ? null : value * scale));

  // ---- curves ----

  // Each series is three data sets: the mean, and the edges of the band around it.
  function datasets(part, figure) {
    return part.series.flatMap((series, i) => {
      const mean = scaled(series[figure.y], figure.scale);
      const sd = scaled(series[`${figure.y}_sd`], figure.scale);
      const xs = figure.x === "density" ? scaled(series.density, 100) : mean.map((_, t) => t);
      const line = (at) => mean.map((y, t) => ({ x: xs[t], y: y === null ? null : at(y, sd[t] ?? 0) }));
      const edge = { series: i, band: true, pointRadius: 0, pointHitRadius: 0, borderWidth: 0 };
      return [
        {
          series: i, label: series.name, data: line((y) => y), sd, n: series.n, spanGaps: true, borderWidth: 2,
          borderDash: dashOf(i), pointStyle: POINTS[i % POINTS.length], pointRadius: 2.5, pointHoverRadius: 5,
        },
        { ...edge, data: line((y, d) => y - d), fill: false },
        { ...edge, data: line((y, d) => y + d), fill: "-1" },
      ];
    });
  }

  const title = (text) => ({ display: true, text });

  // 1, 2 and 5 of each decade; the logarithmic axis has marks between them.
  function decade(value) {
    const [digits] = value.toExponential().split("e");
    return ["1", "2", "5"].includes(digits) ? String(value) : "";
  }

  function axes(part, figure) {
    const x = figure.x === "density"
      ? { type: "logarithmic", reverse: true, title: title("weights kept, %"), ticks: { callback: decade } }
      : { type: "linear", min: 0, title: title("iteration"), ticks: { precision: 0 } };
    x.ticks.maxRotation = 0;
    const y = { type: figure.log ? "logarithmic" : "linear", title: title(figure.label), ticks: {} };
    if (figure.log) y.ticks.callback = decade;
    if (figure.top) {
      const best = Math.max(...part.series.flatMap((series) => series[figure.y]));
      y.min = Math.floor(figure.scale * best - figure.top);
    }
    return { x, y };
  }

  function tooltip(figure) {
    const where = ({ dataIndex, parsed }) => {
      const kept = figure.x === "density" ? `${show(parsed.x, { unit: "%", y: "density" })} kept, ` : "";
      return `${kept}iteration ${dataIndex}`;
    };
    const what = ({ dataset, dataIndex, parsed }) => {
      const sd = dataset.sd[dataIndex];
      const spread = sd === null ? "" : `${showSpread(sd, figure)} (${dataset.n[dataIndex]} runs)`;
      return `${dataset.label}: ${show(parsed.y, figure)}${spread}`;
    };
    return {
      usePointStyle: true,
      boxPadding: 5,
      filter: ({ dataset }) => !dataset.band,
      itemSort: (a, b) => b.parsed.y - a.parsed.y,
      callbacks: { title: ([first]) => (first ? where(first) : ""), label: what },
    };
  }

  // Behind the curves: the phases of the chosen series, and the iteration to stop at.
  const phases = {
    id: "phases",
    beforeDatasetsDraw({ ctx, chartArea: area, scales: { x }, part, figure }) {
      const series = part.series[part.chosen];
      if (figure.x === "density") return;
      ctx.save();
      ctx.font = "11px system-ui, sans-serif";
      for (const phase of series.phases) {
        const left = Math.max(x.getPixelForValue(phase.from), area.left);
        const right = Math.min(x.getPixelForValue(phase.to), area.right);
        ctx.fillStyle = phase.colour + (theme === "dark" ? "38" : "22");
        ctx.fillRect(left, area.top, right - left, area.height);
        ctx.fillStyle = variable("--faint");
        if (ctx.measureText(phase.name).width + 6 < right - left) ctx.fillText(phase.name, left + 3, area.top + 12);
      }
      if (series.recommended !== null) {
        const at = x.getPixelForValue(series.recommended);
        ctx.strokeStyle = variable("--text");
        ctx.setLineDash([4, 4]);
        ctx.beginPath();
        ctx.moveTo(at, area.top);
        ctx.lineTo(at, area.bottom);
        ctx.stroke();
      }
      ctx.restore();
    },
    afterRender(chart) {
      chart.canvas.closest("figure").dataset.drawn = chart.data.datasets.length / 3;
    },
  };

  function paint(chart) {
    for (const set of chart.data.datasets) {
      const colour = colourOf(set.series);
      set.borderColor = set.pointBorderColor = set.pointBackgroundColor = colour;
      set.backgroundColor = set.band ? `${colour}2a` : colour;
    }
    for (const axis of Object.values(chart.options.scales)) {
      axis.grid = { color: variable("--line") };
      axis.ticks.color = axis.title.color = variable("--faint");
    }
    chart.update("none");
  }

  // The arrow keys walk through the iterations, as the pointer does.
  function walk(chart, step) {
    const sets = chart.data.datasets.map((set, i) => [set, i]);
    const shown = sets.filter(([set, i]) => !set.band && chart.isDatasetVisible(i));
    const length = Math.max(0, ...shown.map(([set]) => set.data.length));
    if (!length) return;
    chart.at = Math.min(length - 1, Math.max(0, (chart.at ?? (step > 0 ? -1 : length)) + step));
    const there = shown.filter(([set]) => (set.data[chart.at]?.y ?? null) !== null);
    const active = there.map(([, i]) => ({ datasetIndex: i, index: chart.at }));
    chart.setActiveElements(active);
    chart.tooltip.setActiveElements(active, { x: 0, y: 0 });
    chart.update("none");
  }

  // The numbers of a curve, for those who want to read or copy them.
  function numbers(part, figure) {
    const cell = (series, t) => {
      const text = show((series[figure.y][t] ?? NaN) * figure.scale, figure);
      const sd = series[`${figure.y}_sd`][t] ?? null;
      return element("td", { textContent: text + (sd === null ? "" : showSpread(sd * figure.scale, figure)) });
    };
    const names = part.series.map(({ name }) => element("th", { scope: "col", textContent: name }));
    const length = Math.max(...part.series.map(({ n }) => n.length));
    const rows = Array.from({ length }, (_, t) =>
      element("tr", {}, rowHead(t), ...part.series.map((series) => cell(series, t))));
    const head = element("tr", {}, element("th", { scope: "col", textContent: "iteration" }), ...names);
    return scroll(element("table", {}, element("thead", {}, head), element("tbody", {}, ...rows)));
  }

  function addCurves(part, figure, place) {
    const canvas = element("canvas", { tabIndex: 0 });
    canvas.setAttribute("role", "img");
    canvas.setAttribute("aria-label", `${figure.title}. ${figure.text} The arrow keys show the numbers one by one.`);
    const details = element("details", { className: "plain" }, element("summary", { textContent: "Numbers" }));
    details.addEventListener("toggle", () => details.children.length > 1 || details.append(numbers(part, figure)));
    const box = element("figure", { id: `${part.id}-${figure.name}` }, element("h4", { textContent: figure.title }),
      element("div", { className: "canvas" }, canvas), element("figcaption", { textContent: figure.text }), details);
    place.append(box);
    const chart = new Chart(canvas, {
      type: "line",
      data: { datasets: datasets(part, figure) },
      options: {
        animation: false, maintainAspectRatio: false, parsing: false, scales: axes(part, figure),
        interaction: { mode: figure.x === "density" ? "nearest" : "index", intersect: false },
        plugins: { legend: { display: false }, tooltip: tooltip(figure) },
      },
      plugins: [{ ...phases, beforeInit: (made) => Object.assign(made, { part, figure }) }],
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

  const HEATS = [
    { key: "density", title: "Density by layer", log: true, show: (v) => `${(100 * v).toPrecision(3)} %` },
    { key: "pqi", title: "PQ Index by layer", log: false, show: (v) => v.toFixed(4) },
  ];

  // The colour at a place in [0, 1] of the scale.
  function heat(place) {
    const at = Math.min(Math.max(place, 0), 1) * (data.heat.length - 1);
    const i = Math.min(Math.floor(at), data.heat.length - 2);
    const channel = (colour, k) => parseInt(colour.slice(k, k + 2), 16);
    const mix = (k) => channel(data.heat[i], k) + (channel(data.heat[i + 1], k) - channel(data.heat[i], k)) * (at - i);
    return `rgb(${[1, 3, 5].map((k) => Math.round(mix(k))).join(" ")})`;
  }

  function heatTable(series, kind, [low, high], said) {
    const bend = kind.log ? Math.log : (value) => value;
    const place = (value) => (high > low ? (bend(value) - bend(low)) / (bend(high) - bend(low)) : 0.5);
    const cell = (layer, value, t) => {
      const made = element("td");
      if (value === null) return made;
      made.title = `${layer.name}, iteration ${t}: ${kind.show(value)}`;
      made.style.background = heat(place(value));
      made.addEventListener("pointerenter", () => { said.textContent = made.title; });
      return made;
    };
    const every = series.n.length > 16 ? 5 : 1;
    const heads = series.n.map((_, t) => element("th", { scope: "col", textContent: t % every ? "" : t }));
    const rows = series.layers.map((layer) =>
      element("tr", {}, rowHead(layer.name), ...layer[kind.key].map((value, t) => cell(layer, value, t))));
    const head = element("thead", {}, element("tr", {}, element("td"), ...heads));
    return scroll(element("table", { className: "heat" }, head, element("tbody", {}, ...rows)));
  }

  // One map of a kind: the chosen series', in colours that mean the same for all series.
  function heatFigure(part, kind) {
    const values = part.series.flatMap(({ layers }) => layers.flatMap((layer) => layer[kind.key]))
      .filter((value) => value !== null && (!kind.log || value > 0));
    const range = [Math.min(...values), Math.max(...values)];
    const series = part.series[part.chosen], said = element("output"), scale = element("span", { className: "scale" });
    scale.style.background = `linear-gradient(90deg, ${data.heat.join(", ")})`;
    const [low, high] = values.length ? range.map(kind.show) : ["", ""];
    const box = element("figure", { id: `${part.id}-layers-${kind.key}` },
      element("h4", { textContent: `${kind.title}: ${series.name}` }), heatTable(series, kind, range, said), said,
      element("figcaption", {}, low, scale, high, kind.log ? " (logarithmic)" : ""));
    box.dataset.drawn = series.layers.length;
    return box;
  }

  // ---- a part of the page: the runs of one network ----

  function refresh(part) {
    for (const chart of part.charts) {
      chart.data.datasets.forEach(({ series, band }, k) => {
        chart.setDatasetVisibility(k, !part.hidden[series] && (part.bands || !band));
      });
      chart.update("none");
    }
  }

  // A button for each series; where there are many, one for all and one for none.
  function legend(part) {
    const buttons = part.series.map(({ name }, i) => {
      const swatch = element("span", { className: "swatch" });
      swatch.dataset.series = i;
      return element("button", { type: "button", onclick: () => hide((k) => part.hidden[k] !== (k === i)) }, swatch, name);
    });
    const hide = (hidden) => {
      part.hidden = part.hidden.map((_, k) => hidden(k));
      buttons.forEach((button, k) => button.setAttribute("aria-pressed", String(!part.hidden[k])));
      refresh(part);
    };
    hide(() => false);
    if (buttons.length < 4) return buttons;
    const every = (textContent, hidden) =>
      element("button", { type: "button", className: "plain", textContent, onclick: () => hide(() => hidden) });
    return [...buttons, every("all", false), every("none", true)];
  }

  function controls(part, chosen) {
    const bands = element("input", { type: "checkbox", checked: true });
    bands.addEventListener("change", () => {
      part.bands = bands.checked;
      refresh(part);
    });
    const options = part.series.map(({ name }, i) => element("option", { value: i, textContent: name }));
    const choice = element("select", {}, ...options);
    choice.addEventListener("change", () => {
      part.chosen = Number(choice.value);
      chosen();
    });
    return element("div", { className: "controls" }, ...legend(part),
      element("label", { className: "switch plain" }, bands, " standard deviation"),
      element("label", { className: "switch" }, "phases and layers of ", choice));
  }

  function addPart(part, k) {
    Object.assign(part, { id: `part-${k}`, charts: [], hidden: part.series.map(() => false), chosen: 0, bands: true });
    const curves = element("div", { className: "charts" }), layers = element("div", { className: "charts" });
    const choose = () => {
      layers.replaceChildren(...HEATS.map((kind) => heatFigure(part, kind)));
      part.charts.forEach((chart) => chart.draw());
    };
    document.getElementById(part.id).append(element("h3", { textContent: "Curves" }), controls(part, choose), curves,
      element("h3", { textContent: "Layers" }), layers);
    if (typeof Chart === "undefined") curves.textContent = "The program that made this page has no Chart.js.";
    else data.figures.forEach((figure) => addCurves(part, figure, curves));
    choose();
  }

  // ---- light and dark ----

  // A piece of a series' line, beside its name.
  function drawSwatch(swatch) {
    const i = Number(swatch.dataset.series), colour = colourOf(i), [on, off] = dashOf(i);
    const stripes = on ? `${colour} 0 ${on}px, transparent 0 ${on + off}px` : `${colour} 0 100%`;
    swatch.style.background = `repeating-linear-gradient(90deg, ${stripes}) center / 100% 3px no-repeat`;
  }

  function setTheme(next) {
    theme = root.dataset.theme = next;
    document.getElementById("theme").textContent = next === "dark" ? "Light" : "Dark";
    document.querySelectorAll(".swatch").forEach(drawSwatch);
    charts.forEach(paint);
  }

  const system = window.matchMedia("(prefers-color-scheme: dark)");
  let asked = null;
  const follow = () => setTheme(asked ?? (system.matches ? "dark" : "light"));

  if (typeof Chart !== "undefined") Chart.defaults.font.family = getComputedStyle(document.body).fontFamily;
  data.sections.forEach(addPart);
  follow();
  system.addEventListener("change", follow);
  document.getElementById("theme").addEventListener("click", () => {
    asked = theme === "dark" ? "light" : "dark";
    follow();
  });
  // Paper is light, has its own width, to which the style fits what is drawn here, and wants more pixels.
  window.addEventListener("beforeprint", () => {
    setTheme("light");
    for (const chart of charts) {
      chart.options.devicePixelRatio = 3;
      chart.resize(560, 280);
    }
  });
  window.addEventListener("afterprint", () => {
    for (const chart of charts) {
      delete chart.options.devicePixelRatio;
      chart.resize();
    }
    follow();
  });
  root.dataset.charts = charts.length;
})();
