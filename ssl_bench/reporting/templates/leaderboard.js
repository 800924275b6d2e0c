"use strict";
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const board = document.getElementById("board");
  const body = board.tBodies[0];
  const heads = [...board.tHead.rows[0].cells];
  const rows = [...body.rows];
  const at = (id) => document.getElementById(id);

  // Filters ------------------------------------------------------------------------------------------------------
  const shown = (head) =>
    !head.dataset.protocol ||
    ((!at("protocol").value || head.dataset.protocol === at("protocol").value) &&
      (!at("dataset").value || head.dataset.dataset === at("dataset").value) &&
      (head.dataset.measured === "1" || at("printed").checked));

  const fits = (row) => {
    const words = at("search").value.toLowerCase().split(/\s+/).filter(Boolean);
    const about = data.models[row.dataset.model];
    const text = [about.name, about.method, about.architecture, row.dataset.family].join(" ").toLowerCase();
    return (
      (!at("method").value || row.dataset.method === at("method").value) &&
      (!at("family").value || row.dataset.family === at("family").value) &&
      (!at("commercial").checked || row.dataset.use === "any") &&
      words.every((word) => text.includes(word))
    );
  };

  const filter = () => {
    const columns = heads.map(shown);
    heads.forEach((head, i) => (head.hidden = !columns[i]));
    let count = 0;
    for (const row of rows) {
      let filled = false;
      [...row.cells].forEach((cell, i) => {
        const faded = cell.classList.contains("faded") && !at("faded").checked;
        const printed = "printed" in cell.dataset && !at("printed").checked;
        cell.hidden = !columns[i];
        cell.classList.toggle("empty", faded || printed);
        if (i > 1 && columns[i] && cell.dataset.value && !faded && !printed) filled = true;
      });
      row.hidden = !filled || !fits(row);
      if (!row.hidden) count += 1;
    }
    at("count").textContent = count + (count === 1 ? " model" : " models");
  };

  // Sorting: missing values last in either direction ----------------------------------------------------------------
  const sort = (head) => {
    const column = heads.indexOf(head);
    const number = head.dataset.kind === "number";
    const first = number ? "descending" : "ascending";
    const other = number ? "ascending" : "descending";
    const order = head.getAttribute("aria-sort") === first ? other : first;
    heads.forEach((one) => one.removeAttribute("aria-sort"));
    head.setAttribute("aria-sort", order);
    const sign = order === "ascending" ? 1 : -1;
    const value = (row) => row.cells[column].dataset.value || "";
    rows.sort((a, b) => {
      const [x, y] = [value(a), value(b)];
      if (x === "" || y === "") return (x === "") - (y === "");
      return sign * (number ? Number(x) - Number(y) : x.localeCompare(y));
    });
    body.append(...rows);
  };

  // Details: built from text nodes only, never from markup ---------------------------------------------------------
  const element = (name, text, className) => {
    const made = document.createElement(name);
    if (text !== undefined) made.textContent = text;
    if (className) made.className = className;
    return made;
  };
  const link = (text, url) => {
    if (!url) return document.createTextNode(text);
    const made = element("a", text);
    made.href = url;
    made.rel = "noopener";
    return made;
  };
  const list = (pairs) => {
    const made = element("dl");
    for (const [key, value] of pairs) {
      if (value === null || value === undefined || value === "") continue;
      const right = element("dd");
      right.append(value);
      made.append(element("dt", key), right);
    }
    return made;
  };
  const settings = (given) =>
    Object.entries(given || {}).map(([key, value]) => key + " " + JSON.stringify(value)).join(", ");

  const about = (model) => {
    const weights = model.weights || {};
    return list([
      ["Method", model.method],
      ["Architecture", model.architecture],
      ["Parameters", model.parameters_m === null ? null : Number(model.parameters_m.toPrecision(3)) + " million"],
      ["Embedding", model.embedding],
      ["Pretraining", model.pretraining],
      ["Paper", model.paper && link(model.paper.title + " (" + model.paper.authors + ")", model.paper.url)],
      ["Licence", model.licence && model.licence + (model.use === "non-commercial" ? ": non-commercial use only" : "")],
      ["Notes", model.notes],
      ["Preprocessing", settings(model.preprocess)],
      ["Weights", weights.source],
      ["sha256", weights.sha256],
      ["Tensors matched", weights.total === undefined ? null : weights.matched + " of " + weights.total],
    ]);
  };
  const run = (one) => {
    const made = element("div", undefined, "run");
    const numbers = Object.entries(one.metrics).map(([key, value]) => key + " " + (value === null ? "none" : Number(value.toFixed(2))));
    made.append(element("p", one.task + ": " + numbers.join(", ")));
    const facts = ["task version " + one.task_version, "seed " + one.seed, one.images.train + " train and " + one.images.test + " test images", one.device, one.created.slice(0, 10)];
    if (one.partial) facts.unshift("partial");
    if (one.selection !== "fixed") facts.push("selection " + one.selection);
    made.append(element("p", facts.join(" · "), "note"), element("p", settings(one.settings), "note"), element("pre", one.command));
    return made;
  };
  const printed = (one) => {
    const made = element("p");
    made.append(one.task + " " + one.metric + " " + one.value + (one.doubtful ? " (doubtful)" : "") + ": ", link(one.source, one.url));
    if (one.note) made.append(element("span", " " + one.note, "note"));
    return made;
  };
  const open = (name) => {
    const model = data.models[name];
    const content = [about(model)];
    if (model.runs.length) content.push(element("h3", "Measured"), ...model.runs.map(run));
    if (model.published.length) content.push(element("h3", "Published"), ...model.published.map(printed));
    at("details-title").textContent = name;
    at("details-body").replaceChildren(...content);
    at("details").showModal();
    at("details").scrollTop = 0;
  };

  document.querySelector(".controls").hidden = false;
  document.querySelector(".controls").addEventListener("submit", (event) => event.preventDefault());
  document.querySelector(".controls").addEventListener("input", filter);
  heads.forEach((head) => head.querySelector("button").addEventListener("click", () => sort(head)));
  rows.forEach((row) => row.querySelector(".model").addEventListener("click", () => open(row.dataset.model)));
  at("close").addEventListener("click", () => at("details").close());
  at("details").addEventListener("click", (event) => event.target === at("details") && at("details").close());
  filter();
})();
