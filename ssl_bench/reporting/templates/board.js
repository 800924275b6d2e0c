"use strict";
// The first page: filters, sorting, and an address that keeps both. At most STEP rows are in the page at once, so that a
// thousand models stay quick; all of them are filtered and sorted.
(() => {
  const STEP = 100;
  const ABOUT = [["model", "text"], ["parameters_m", "number"], ["pretrained_on", "text"], ["epochs", "number"], ["licence", "text"]];
  const at = (id) => document.getElementById(id);
  const data = JSON.parse(at("data").textContent);
  const board = at("board");
  const body = board.tBodies[0];
  const heads = [...board.tHead.rows[0].cells];
  const form = at("filters");
  const fields = [...form.elements].filter((field) => field.id);
  const style = new CSSStyleSheet();
  document.adoptedStyleSheets = [...document.adoptedStyleSheets, style];

  const rows = [...body.rows].map((line, i) => {
    const about = data.models[i];
    const text = [about.model, about.method, about.method_family, about.architecture, about.family, about.pretrained_on, about.licence];
    return { line, about, text: text.join(" ").toLowerCase(), measured: data.measured[i], published: data.published[i] ?? {}, faded: new Set(data.faded[i]) };
  });

  // State: what the fields say, the column that sorts, and how many rows are shown ----------------------------------------
  at("about").defaultChecked = at("about").checked = matchMedia("(min-width: 50rem)").matches;
  const usual = Number.isFinite(data.measured[0]?.[0]) ? ABOUT.length : 0;
  const down = (column) => (column < ABOUT.length ? ABOUT[column][1] === "number" : !data.tasks[column - ABOUT.length].lower_is_better);
  const first = () => ({ column: usual, descending: down(usual) });
  const name = (column) => (column < ABOUT.length ? ABOUT[column][0] : data.tasks[column - ABOUT.length].task);
  let order = first();
  let shown = STEP;

  const isUsual = (field) =>
    field.type === "checkbox" ? field.checked === field.defaultChecked : field.value === "";
  const address = () => {
    const kept = new URLSearchParams();
    for (const field of fields) if (!isUsual(field)) kept.set(field.id, field.type === "checkbox" ? Number(field.checked) : field.value);
    if (order.column !== usual || order.descending !== down(usual)) kept.set("sort", (order.descending ? "-" : "") + name(order.column));
    return kept.size ? "#" + kept : location.pathname.split("/").pop() + location.search;
  };
  const restore = () => {
    const kept = new URLSearchParams(location.hash.slice(1));
    for (const field of fields) {
      const value = kept.get(field.id);
      if (field.type === "checkbox") field.checked = value === null ? field.defaultChecked : value === "1";
      else field.value = value ?? "";
      if (field.selectedIndex === -1) field.value = ""; // an option that is not there any more
    }
    const wanted = kept.get("sort") ?? "";
    const column = heads.findIndex((_, i) => name(i) === wanted.replace(/^-/, ""));
    order = column < 0 ? first() : { column, descending: wanted.startsWith("-") };
  };

  // Filters ------------------------------------------------------------------------------------------------------------
  const visible = (task, i) =>
    (!at("protocol").value || task.protocol === at("protocol").value) &&
    (!at("dataset").value || task.dataset === at("dataset").value) &&
    (at("printed").checked || hasMeasured[i]);
  const isMeasured = (row, i) => i < row.measured.length && row.measured[i] !== null;
  const hasMeasured = data.tasks.map((_, i) => rows.some((row) => isMeasured(row, i)));
  const value = (row, i) => {
    if (isMeasured(row, i)) return row.faded.has(i) && !at("faded").checked ? null : row.measured[i];
    return at("printed").checked ? row.published[i] ?? null : null;
  };
  const allowed = (use, licence) => (licence.startsWith("use:") ? (use ?? "") === licence.slice(4) : false);
  const fits = (about, text, words) =>
    (!at("family").value || about.method_family === at("family").value) &&
    (!at("arch").value || about.family === at("arch").value) &&
    (!at("pretrained").value || about.pretrained_on === at("pretrained").value) &&
    (!at("licence").value || about.licence === at("licence").value || allowed(about.use, at("licence").value)) &&
    words.every((word) => text.includes(word));

  const key = (row) =>
    order.column < ABOUT.length ? row.about[ABOUT[order.column][0]] ?? null : value(row, order.column - ABOUT.length);
  const compare = (a, b) => {
    const [x, y] = [key(a), key(b)];
    if (x === null || y === null) return (x === null) - (y === null); // missing values last in either direction
    return (order.descending ? -1 : 1) * (typeof x === "number" ? x - y : x.localeCompare(y));
  };

  const apply = () => {
    const columns = data.tasks.map((task, i) => i).filter((i) => visible(data.tasks[i], i));
    const words = at("q").value.toLowerCase().split(/\s+/).filter(Boolean);
    const found = rows.filter((row) => fits(row.about, row.text, words) && columns.some((i) => value(row, i) !== null)).sort(compare);
    const open = new Set(columns);
    const closed = data.tasks.map((_, i) => i).filter((i) => !open.has(i)).map((i) => i + ABOUT.length);
    if (!at("about").checked) closed.push(1, 2, 3, 4);
    style.replaceSync(closed.length ? closed.map((i) => `#board tr > :nth-child(${i + 1})`).join(",") + "{display:none}" : "");
    board.classList.toggle("unfaded", !at("faded").checked);
    board.classList.toggle("unprinted", !at("printed").checked);
    heads.forEach((head, i) => {
      if (i === order.column) head.setAttribute("aria-sort", order.descending ? "descending" : "ascending");
      else head.removeAttribute("aria-sort");
    });
    body.replaceChildren(...found.slice(0, shown).map((row) => row.line));
    board.classList.add("ready");
    at("count").textContent = found.length + (found.length === 1 ? " model" : " models") + (found.length > shown ? `, ${shown} shown` : "");
    at("more").parentElement.hidden = found.length <= shown;
    at("more").textContent = `Show ${Math.min(STEP, found.length - shown)} more`;
    at("everything").textContent = `Show all ${found.length}`;
  };
  const changed = () => {
    shown = STEP;
    apply();
    history.replaceState(null, "", address());
  };

  restore();
  form.hidden = false;
  form.addEventListener("submit", (event) => event.preventDefault());
  form.addEventListener("input", changed);
  form.addEventListener("reset", () => setTimeout(() => { order = first(); changed(); }));
  addEventListener("hashchange", () => { restore(); shown = STEP; apply(); });
  heads.forEach((head, column) => head.querySelector("button").addEventListener("click", () => {
    order = { column, descending: order.column === column ? !order.descending : down(column) };
    changed();
  }));
  at("more").addEventListener("click", () => { shown += STEP; apply(); });
  at("everything").addEventListener("click", () => { shown = Infinity; apply(); });
  apply();
})();
