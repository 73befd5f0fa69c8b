// The cell explorer: reads #data, follows the location's hash (#dataset=NAME&cell=ID), writes into #explorer.
"use strict";
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const NONE = data.operations.indexOf("none");
  const SVG = "http://www.w3.org/2000/svg";
  const ids = new Map(data.cells.map((code, id) => [code, id]));
  const members = new Map();
  data.classes.forEach((number, id) => members.set(number, [...(members.get(number) ?? []), id]));
  for (const dataset of data.datasets) {
    dataset.rows = new Map(dataset.ids.map((id, row) => [data.classes[id], row]));
    dataset.named = new Map(dataset.columns.map((column) => [column.label, column]));
  }
  let shown = { dataset: 0, cell: data.datasets[0].ids[0] };

  const at = (id) => document.getElementById(id);

  // An element with attributes (functions become listeners) and children.
  function make(tag, attributes = {}, ...children) {
    const drawn = ["svg", "g", "path", "line", "rect", "circle", "text", "title"].includes(tag);
    const element = drawn ? document.createElementNS(SVG, tag) : document.createElement(tag);
    for (const [name, value] of Object.entries(attributes)) {
      if (typeof value === "function") element.addEventListener(name, value);
      else element.setAttribute(name, value);
    }
    element.append(...children);
    return element;
  }

  // The six operations of a cell as indices into data.operations, and back to its id.
  function operationsOf(id) {
    return data.cells[id].toString(5).padStart(6, "0").split("").map(Number);
  }
  function idOf(operations) {
    return ids.get(parseInt(operations.join(""), 5));
  }
  function stringOf(id) {
    const o = operationsOf(id).map((index) => data.operations[index]);
    return `|${o[0]}~0|+|${o[1]}~0|${o[2]}~1|+|${o[3]}~0|${o[4]}~1|${o[5]}~2|`;
  }

  function changed(operations, edge, operation) {
    return operations.map((own, i) => (i === edge ? operation : own));
  }

  // Which edges lie on a path of non-zero operations from input to output.
  function liveEdges(operations) {
    const reached = new Set([0]);
    const needed = new Set([3]);
    const edges = data.edges.map(([source, target], i) => ({ source, target, on: operations[i] !== NONE }));
    for (const { source, target, on } of edges) if (on && reached.has(source)) reached.add(target);
    for (const { source, target, on } of [...edges].reverse()) if (on && needed.has(target)) needed.add(source);
    return edges.map(({ source, target, on }) => on && reached.has(source) && needed.has(target));
  }

  function value(column, row) {
    return column.values[row] / column.unit;
  }
  function rank(column, row) {
    return 1 + column.values.reduce((better, other) => better + (other > column.values[row]), 0);
  }
  function median(column) {
    const sorted = [...column.values].sort((a, b) => a - b);
    const middle = sorted.length >> 1;
    return (sorted.length % 2 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2) / column.unit;
  }

  function go(cell, dataset = shown.dataset) {
    location.hash = `dataset=${encodeURIComponent(data.datasets[dataset].name)}&cell=${cell}`;
  }
  function cellButton(id, text = String(id)) {
    return make("button", { type: "button", title: stringOf(id), click: () => go(id) }, text);
  }

  // Cell of what was typed: an id or a string; null if it is neither.
  function cellOf(text) {
    const typed = text.trim();
    if (/^\d+$/.test(typed)) return Number(typed) < data.cells.length ? Number(typed) : null;
    const found = /^\|(\w+)~0\|\+\|(\w+)~0\|(\w+)~1\|\+\|(\w+)~0\|(\w+)~1\|(\w+)~2\|$/.exec(typed);
    return (found && idOf(found.slice(1).map((operation) => data.operations.indexOf(operation)))) ?? null;
  }

  function draw(operations) {
    const live = liveEdges(operations);
    const svg = document.querySelector("#drawing svg");
    svg.setAttribute("aria-label", stringOf(shown.cell));
    svg.querySelectorAll(".edge").forEach((group, edge) => {
      const operation = data.operations[operations[edge]];
      group.dataset.op = operation;
      group.dataset.live = live[edge];
      group.setAttribute("color", data.colors[operation]);
      group.setAttribute("opacity", live[edge] ? 1 : data.faint);
      group.setAttribute("aria-label", `edge ${data.edgeNames[edge]}: ${data.labels[operation]}; press for the next operation`);
      group.querySelector("title").textContent = `edge ${data.edgeNames[edge]}: ${data.labels[operation]}`;
      group.querySelector("text").textContent = data.labels[operation];
      const line = group.querySelector("path");
      if (operation === "none") line.setAttribute("stroke-dasharray", "2 5");
      else line.removeAttribute("stroke-dasharray");
    });
    document.querySelectorAll("#operations select").forEach((select, edge) => {
      select.value = operations[edge];
    });
  }

  function change(edge, operation) {
    go(idOf(changed(operationsOf(shown.cell), edge, operation)));
  }

  function drawAbout(dataset, row) {
    const number = data.classes[shown.cell];
    const own = members.get(number);
    const entries = [["id", shown.cell], ["string", stringOf(shown.cell)]];
    if (row === undefined) entries.push(["evaluated", `no member of its class is in the table's ${dataset.name} part`]);
    else {
      const evaluated = dataset.ids[row];
      entries.push(["evaluated", evaluated === shown.cell ? "this cell, for its class" : cellButton(evaluated)]);
      for (const [name, values] of Object.entries(dataset.others)) {
        if (values[row] !== null) entries.push([name, values[row].toLocaleString("en", { maximumSignificantDigits: 6 })]);
      }
    }
    at("about").replaceChildren(
      make("h4", {}, "This cell"),
      make("dl", {}, ...entries.flatMap(([name, text]) => [make("dt", {}, name), make("dd", {}, text instanceof Node ? text : String(text))])),
      make("h4", { style: "margin-top:1rem" }, `Its class: ${own.length} isomorphic ${own.length === 1 ? "cell" : "cells"}`),
      make("div", { class: "members" }, ...own.map((id) => cellButton(id))),
    );
  }

  const COLORS = ["#2f74c0", "#d0601f", "#2f8f5b", "#9a5bb5", "#b08b17", "#4f8f9f", "#b84a6b", "#808080"];

  function drawCurves(dataset, row) {
    const attacks = new Map();
    for (const column of dataset.columns) {
      if (column.kind === "attack") attacks.set(column.key, [...(attacks.get(column.key) ?? []), column]);
    }
    if (row === undefined || !attacks.size) return at("curves").replaceChildren();
    const levels = [0, ...new Set([...attacks.values()].flat().map((column) => column.level))].sort((a, b) => a - b);
    const clean = dataset.named.get("clean");
    const left = 44, top = 12, width = 500, height = 250;
    const x = (level) => left + 12 + (levels.indexOf(level) * (width - 24)) / Math.max(1, levels.length - 1);
    const y = (percent) => top + height * (1 - percent / 100);
    const svg = make("svg", { viewBox: `0 0 560 ${top + height + 46 + 20 * Math.ceil(attacks.size / 3)}`, role: "img" });
    svg.append(make("title", {}, "Accuracy against eps, one line per attack; the table below has the numbers"));
    for (let percent = 0; percent <= 100; percent += 20) {
      svg.append(make("line", { x1: left, x2: left + width, y1: y(percent), y2: y(percent), stroke: "var(--line)" }));
      svg.append(make("text", { x: left - 6, y: y(percent) + 4, "text-anchor": "end", "font-size": 12, fill: "var(--faint)" }, String(percent)));
    }
    for (const level of levels) {
      svg.append(make("text", { x: x(level), y: top + height + 18, "text-anchor": "middle", "font-size": 12, fill: "var(--faint)" }, level ? String(level) : "clean"));
    }
    [...attacks].forEach(([key, columns], i) => {
      const color = COLORS[i % COLORS.length];
      const path = (of) => [[0, of(clean)], ...columns.map((column) => [column.level, of(column)])].map(([level, percent], j) => `${j ? "L" : "M"}${x(level).toFixed(1)} ${y(percent).toFixed(1)}`).join("");
      svg.append(make("path", { d: path(median), fill: "none", stroke: color, "stroke-dasharray": "2 4", opacity: 0.8 }));
      svg.append(make("path", { d: path((column) => value(column, row)), fill: "none", stroke: color, "stroke-width": 2 }));
      for (const column of [clean, ...columns]) {
        const dot = make("circle", { cx: x(column.level ?? 0), cy: y(value(column, row)), r: 3.2, fill: color });
        dot.append(make("title", {}, `${column.label}: ${value(column, row)} %`));
        svg.append(dot);
      }
      const place = { x: left + 10 + (i % 3) * 168, y: top + height + 44 + 20 * Math.floor(i / 3) };
      svg.append(make("rect", { x: place.x, y: place.y - 9, width: 16, height: 4, fill: color }));
      svg.append(make("text", { x: place.x + 22, y: place.y - 2, "font-size": 13, fill: "var(--ink)" }, key));
    });
    at("curves").replaceChildren(make("h4", {}, "Accuracy (%) against eps"), svg, make("figcaption", {}, "eps in units of 1/255, evenly spaced; dotted: median of the evaluated classes."));
  }

  function drawCorruptions(dataset, row) {
    const groups = new Map();
    for (const column of dataset.columns) {
      if (column.kind === "corruption") groups.set(column.key, [...(groups.get(column.key) ?? []), column]);
    }
    if (row === undefined || !groups.size) return at("corruptions").replaceChildren();
    const left = 150, width = 360, step = 22;
    const x = (percent) => left + (width * percent) / 100;
    const svg = make("svg", { viewBox: `0 0 560 ${step * groups.size + 30}`, role: "img" });
    svg.append(make("title", {}, "Mean accuracy under every corruption; the table below has the numbers"));
    for (let percent = 0; percent <= 100; percent += 20) {
      svg.append(make("line", { x1: x(percent), x2: x(percent), y1: 0, y2: step * groups.size, stroke: "var(--line)" }));
      svg.append(make("text", { x: x(percent), y: step * groups.size + 16, "text-anchor": "middle", "font-size": 12, fill: "var(--faint)" }, String(percent)));
    }
    [...groups].forEach(([key, columns], i) => {
      const mean = columns.reduce((sum, column) => sum + value(column, row), 0) / columns.length;
      const middle = step * (i + 0.5);
      svg.append(make("text", { x: left - 8, y: middle + 4, "text-anchor": "end", "font-size": 13, fill: "var(--ink)" }, key));
      svg.append(make("rect", { x: left, y: middle - 7, width: x(mean) - left, height: 14, fill: "#2f74c0", opacity: 0.55 }));
      for (const column of columns) {
        const tick = make("line", { x1: x(value(column, row)), x2: x(value(column, row)), y1: middle - 8, y2: middle + 8, stroke: "var(--ink)", "stroke-width": 1.5 });
        tick.append(make("title", {}, `${column.label}: ${value(column, row)} %`));
        svg.append(tick);
      }
      svg.append(make("text", { x: left + width + 8, y: middle + 4, "font-size": 12, fill: "var(--faint)" }, mean.toFixed(1)));
    });
    at("corruptions").replaceChildren(make("h4", {}, "Accuracy (%) under corruptions"), svg, make("figcaption", {}, "Bars: mean over the severities; ticks: each severity."));
  }

  function table(caption, head, rows) {
    return [
      make("h4", {}, caption),
      make("div", { class: "scroll", tabindex: 0, role: "group", "aria-label": caption },
        make("table", {}, make("thead", {}, make("tr", {}, ...head.map((name) => make("th", { scope: "col" }, name)))), make("tbody", {}, ...rows))),
    ];
  }
  function difference(change) {
    const text = `${change < 0 ? "\u2212" : "+"}${Math.abs(change).toFixed(1)}`;
    return make("td", { class: change > 0.05 ? "up" : change < -0.05 ? "down" : "" }, text);
  }

  function drawNeighbours(dataset, row, operations) {
    const compared = ["clean", "adversarial mean", "corruption mean"].filter((name) => dataset.named.has(name));
    const rows = [];
    operations.forEach((own, edge) => {
      data.operations.forEach((name, operation) => {
        if (operation === own) return;
        const id = idOf(changed(operations, edge, operation));
        const other = dataset.rows.get(data.classes[id]);
        const cells = compared.map((label) => {
          if (other === undefined) return make("td", {}, "\u2013");
          const column = dataset.named.get(label);
          if (row === undefined) return make("td", {}, value(column, other).toFixed(1));
          return difference(value(column, other) - value(column, row));
        });
        rows.push(make("tr", {}, make("td", {}, data.edgeNames[edge]), make("td", {}, `${data.labels[data.operations[own]]} → ${data.labels[name]}`), make("td", {}, cellButton(id)), ...cells));
      });
    });
    const caption = row === undefined ? "Neighbours: accuracies in %" : "Neighbours: change in points";
    at("neighbours").replaceChildren(...table(caption, ["edge", "operation", "cell", ...compared.map((label) => label.replace("adversarial", "adv.").replace("corruption", "corr."))], rows));
  }

  function drawRanks(dataset, row) {
    if (row === undefined) return at("ranks").replaceChildren();
    const rows = dataset.columns.map((column) => make("tr", {}, make("td", {}, column.label), make("td", {}, value(column, row).toFixed(column.unit > 10 ? 2 : 1)), make("td", {}, rank(column, row).toLocaleString("en"))));
    at("ranks").replaceChildren(...table(`Accuracy and rank among ${dataset.ids.length.toLocaleString("en")} classes`, ["criterion", "%", "rank"], rows));
  }

  function render() {
    const dataset = data.datasets[shown.dataset];
    const operations = operationsOf(shown.cell);
    const row = dataset.rows.get(data.classes[shown.cell]);
    at("query").value = shown.cell;
    at("dataset").value = shown.dataset;
    draw(operations);
    drawAbout(dataset, row);
    drawCurves(dataset, row);
    drawCorruptions(dataset, row);
    drawNeighbours(dataset, row, operations);
    drawRanks(dataset, row);
  }

  function follow() {
    const wanted = new URLSearchParams(location.hash.slice(1).replaceAll("+", "%2B")); // a cell's string has them
    if (!wanted.has("cell")) return;
    const dataset = wanted.has("dataset") ? data.datasets.findIndex(({ name }) => name === wanted.get("dataset")) : shown.dataset;
    const cell = cellOf(wanted.get("cell"));
    if (dataset < 0 || cell === null) {
      at("message").textContent = `No cell ${wanted.get("cell")}: give an id from 0 to ${data.cells.length - 1}, or a string like ${stringOf(0)}`;
      return;
    }
    at("message").textContent = "";
    shown = { dataset, cell };
    const inside = at("explorer").contains(document.activeElement);
    render();
    if (inside && document.activeElement === document.body) at("about").focus({ preventScroll: true }); // its button has gone
    const { top, bottom } = at("explorer").getBoundingClientRect();
    if (bottom < 0 || top > innerHeight) at("explorer").scrollIntoView();
  }

  data.datasets.forEach(({ name, split }, i) => at("dataset").append(make("option", { value: i }, split ? `${name}, ${split}` : name)));
  at("dataset-field").hidden = data.datasets.length === 1;
  at("dataset").addEventListener("change", () => go(shown.cell, Number(at("dataset").value)));
  at("pick").addEventListener("submit", (event) => {
    event.preventDefault();
    const cell = cellOf(at("query").value);
    go(cell ?? encodeURIComponent(at("query").value));
  });
  data.edgeNames.forEach((name, edge) => {
    const choices = data.operations.map((operation, i) => make("option", { value: i }, data.labels[operation]));
    const select = make("select", { change: () => change(edge, Number(select.value)) }, ...choices);
    at("operations").append(make("label", {}, name, select));
  });
  document.querySelectorAll("#drawing .edge").forEach((group, edge) => {
    const next = () => change(edge, (operationsOf(shown.cell)[edge] + 1) % data.operations.length);
    group.setAttribute("tabindex", "0");
    group.setAttribute("role", "button");
    group.addEventListener("click", next);
    group.addEventListener("keydown", (event) => {
      if (event.key === "Enter" || event.key === " ") {
        event.preventDefault();
        next();
      }
    });
  });
  addEventListener("hashchange", follow);
  render();
  follow();
})();
