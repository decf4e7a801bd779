(function () {
  "use strict";
  const ABSENT = "–";
  const MOST_ROWS = 1000; // of a table behind a picture
  const MOST_ON_PAPER = 500; // genes of the printed table

  const data = document.getElementById("gene-data");
  if (data) geneTable(JSON.parse(data.textContent));

  // Charts: every specification stands in the page right after its place; a table of what it draws follows.
  const views = [];
  for (const source of document.querySelectorAll("script.spec")) {
    const place = source.previousElementSibling;
    const spec = JSON.parse(source.textContent);
    vegaEmbed(place, spec, { renderer: "svg", ast: true, actions: false }).then(({ view }) => {
      views.push({ place, view, height: view.height() });
      source.after(behind(spec, view, place.getAttribute("aria-label")));
    }).catch((error) => {
      place.textContent = "This picture could not be drawn: " + error.message;
      throw error;
    });
  }
  window.addEventListener("beforeprint", () => {
    for (const { place, view, height } of views) {
      const { width, most } = onPaper(place);
      if (width) view.width(width).height(Math.min(height, most)).run();
    }
    for (const details of document.querySelectorAll("details:not(.behind, .raw)")) {
      if (!details.open) details.open = details.dataset.opened = true;
    }
  });
  window.addEventListener("afterprint", () => {
    for (const details of document.querySelectorAll("details[data-opened]")) {
      details.open = false;
      delete details.dataset.opened;
    }
    for (const { view, height } of views) view.height(height);
    window.dispatchEvent(new Event("resize"));
  });

  // Width in pixels between the margins of A4, whole, in two columns or in three, and the greatest height there.
  function onPaper(place) {
    if (place.closest(".people")) return { width: place.closest("figure:first-child") ? 330 : 162, most: 115 };
    const most = place.closest("#summary") ? 150 : place.closest(".places") ? 100 : 300;
    return { width: place.closest(".several") ? 330 : 680, most };
  }

  // What is behind a picture, for who cannot point at it: a table, and the picture as a file.
  function behind(spec, view, name) {
    const details = element("details", element("summary", "As a table"), "behind");
    details.addEventListener("toggle", () => {
      if (details.childElementCount > 1) return;
      const tables = tablesOf(spec, {}, spec.datasets);
      details.append(...tables.map((table) => drawnTable(table, name)), saveButtons(view, name));
    });
    return details;
  }
  // Rows and columns of each layer that has them: those of its tooltip, else of its axes.
  function tablesOf(unit, above, datasets) {
    const own = { data: unit.data || above.data, encoding: { ...above.encoding, ...unit.encoding } };
    if (unit.layer) {
      const found = unit.layer.flatMap((layer) => tablesOf(layer, own, datasets));
      return found.filter((table, i) => !found.slice(0, i).some((one) => JSON.stringify(one) === JSON.stringify(table)));
    }
    const rows = own.data ? own.data.values || datasets[own.data.name] : [];
    const columns = columnsOf(own.encoding, unit.mark.type || unit.mark, rows.length);
    return columns.length && rows.length ? [{ columns, rows }] : [];
  }
  function columnsOf(encoding, mark, count) {
    const told = [encoding.tooltip || []].flat().filter(({ field }) => field);
    const drawn = mark === "line" && count > 2;
    if (!told.length && !drawn) return [];
    const places = ["x", "x2", "y", "y2"].map((axis) => encoding[axis]).filter((axis) => axis && axis.field);
    const wanted = told.length > 1 ? told : [...places, ...told];
    const columns = wanted.map(({ field, title }) => ({ field, title: [title || field].flat().join(" ") }));
    return columns.filter(({ field }, i) => columns.findIndex((one) => one.field === field) === i);
  }
  function drawnTable({ columns, rows }, name) {
    const head = element("tr");
    for (const { title } of columns) {
      const cell = element("th", title);
      cell.scope = "col";
      head.append(cell);
    }
    const body = element("tbody");
    for (const row of rows.slice(0, MOST_ROWS)) {
      const line = element("tr");
      for (const { field } of columns) line.append(element("td", shownValue(row[field])));
      body.append(line);
    }
    const table = element("table", element("thead", head));
    table.append(body);
    const box = element("div", table, "scroll");
    box.tabIndex = 0;
    box.setAttribute("role", "region");
    box.setAttribute("aria-label", "Numbers of: " + name);
    if (rows.length > MOST_ROWS) box.append(element("p", "The first " + MOST_ROWS + " of " + grouped(rows.length) + " rows."));
    return box;
  }
  function shownValue(value) {
    if (value === null || value === undefined || value === "") return ABSENT;
    return typeof value === "number" ? String(Number(value.toPrecision(6))).replace("-", "−") : String(value);
  }
  function saveButtons(view, name) {
    const line = element("p", "The picture as a file: ");
    for (const kind of ["svg", "png"]) {
      const button = element("button", kind.toUpperCase());
      button.type = "button";
      button.addEventListener("click", () => view.toImageURL(kind, 2).then((url) => {
        const link = element("a");
        link.href = url;
        link.download = name.slice(0, 60) + "." + kind;
        link.click();
      }));
      line.append(button, " ");
    }
    return line;
  }

  function grouped(number) { return number === null ? ABSENT : number.toLocaleString("en"); }
  function element(name, content, className) {
    const made = document.createElement(name);
    if (content !== undefined) made.append(content);
    if (className) made.className = className;
    return made;
  }

  function geneTable(table) {
    const { genes, outcomes, arms } = table;
    const byId = (id) => document.getElementById(id);
    const head = document.querySelector("#gene-table thead tr");
    const body = document.querySelector("#gene-table tbody");
    const beside = table.baseline === null || arms.length < 2 ? null : arms[table.baseline];
    const collator = new Intl.Collator("en", { numeric: true });
    const position = genes.id.map((_, i) =>
      genes.contig[i] === null || genes.tss[i] === null ? null : genes.contig[i] + ":" + grouped(genes.tss[i]));
    const widest = arms.reduce((most, { columns: c }) => [...c.low, ...c.high].reduce((m, v) => Math.max(m, Math.abs(v)), most), 0.1);
    const state = { arm: 0, column: null, descending: false, page: 0, order: [] };

    const column = (name) => (i) => arms[state.arm].columns[name][i];
    const outcome = (i) => {
      const code = column("outcome")(i);
      return code === null ? "not evaluated" : outcomes[code];
    };
    const columns = [
      { title: table.noun === "peak" ? "Peak" : "Gene", value: label, cell: geneCell },
      { title: "Position", value: (i) => position[i], cell: (i) => text(position[i] && position[i] + (table.noun === "peak" ? "" : " (" + (genes.strand[i] || "?").replace("-", "−") + ")")) },
      { title: "R (95 % CI)", value: column("r"), cell: intervalCell, right: true },
      { title: "p", value: column("p"), cell: (i) => text(pValue(column("p")(i))), right: true },
      { title: "p (null)", value: column("p_null"), cell: (i) => text(pValue(column("p_null")(i))), right: true },
      { title: "q", value: column("q"), cell: (i) => text(pValue(column("q")(i))), right: true },
      { title: "Outcome", value: outcome, cell: (i) => text(outcome(i)) },
      { title: "People", value: column("n"), cell: (i) => text(grouped(column("n")(i))), right: true },
      { title: "Variants", value: column("variants"), cell: (i) => text(grouped(column("variants")(i))), right: true },
      { title: "Haplotypes", value: column("distinct"), cell: (i) => text(grouped(column("distinct")(i))), right: true },
    ];
    if (arms.some(({ columns: c }) => c.used.some((share) => share !== null))) {
      columns.push({ title: "Weights used", value: column("used"), cell: (i) => text(usedShares(i)), right: true });
    }
    if (beside) {
      const r = (i) => beside.columns.r[i];
      columns.splice(7, 0, { title: "R of " + beside.label, value: r, cell: (i) => text(decimal(r(i))), right: true });
    }

    function usedShares(i) {
      const shares = [column("used")(i), column("weight_used")(i)];
      return shares[0] === null ? null : shares.map((share) => Math.round(100 * share) + " %").join(", ");
    }
    function label(i) { return genes.name[i] || genes.id[i]; }
    function text(value) { return document.createTextNode(value === null || value === "" ? ABSENT : value); }
    function decimal(number) { return number === null ? ABSENT : number.toFixed(3).replace("-", "−"); }
    function pValue(number) {
      if (number === null) return ABSENT;
      if (number >= 0.00095) return number.toFixed(3);
      return number === 0 ? "< 1e−300" : number.toExponential(1).replace("-", "−");
    }
    function geneCell(i) {
      const cell = element("span", genes.page[i] ? pageLink(i) : label(i));
      if (genes.name[i] && genes.name[i] !== genes.id[i]) cell.append(element("small", genes.id[i]));
      return cell;
    }
    function pageLink(i) {
      const link = element("a", label(i));
      link.href = genes.page[i];
      link.title = "why the prediction goes this way";
      return link;
    }
    function intervalCell(i) {
      const [r, low, high] = ["r", "low", "high"].map((name) => column(name)(i));
      if (r === null) return text(ABSENT);
      const cell = element("span", decimal(r));
      if (low === null || high === null) return cell;
      const words = decimal(low) + " to " + decimal(high);
      cell.append(intervalPicture(r, low, high), element("small", words));
      return cell;
    }
    function intervalPicture(r, low, high) {
      const x = (value) => 55 + (53 * value) / widest;
      const svg = draw("svg", { width: 110, height: 12, "aria-hidden": "true",
        class: "interval" + (arms[state.arm].baseline ? " baseline" : "") });
      svg.append(
        draw("line", { x1: 55, x2: 55, y1: 1, y2: 11, stroke: "currentColor", opacity: 0.6 }),
        draw("line", { x1: x(low), x2: x(high), y1: 6, y2: 6, stroke: "currentColor", "stroke-width": 1.5 }),
        draw("circle", { cx: x(r), cy: 6, r: 3, class: "estimate" }));
      return svg;
    }
    function draw(name, attributes) {
      const made = document.createElementNS("http://www.w3.org/2000/svg", name);
      for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
      return made;
    }

    function choose() {
      const wanted = byId("search").value.trim().toLowerCase();
      const plain = wanted.replace(/,/g, "");
      const kept = [];
      for (let i = 0; i < genes.id.length; i++) {
        const fields = [genes.id[i], genes.name[i], position[i], outcome(i)];
        const bare = (position[i] || "").replace(/,/g, "");
        if (!wanted || fields.some((f) => f && f.toLowerCase().includes(wanted)) || bare.toLowerCase().includes(plain)) kept.push(i);
      }
      state.order = sorted(kept);
      state.page = 0;
      show();
    }
    function sorted(kept) {
      if (state.column === null) return kept;
      const value = columns[state.column].value;
      const sign = state.descending ? -1 : 1;
      const keys = new Map(kept.map((i) => [i, value(i)]));
      return kept.sort((i, j) => {
        const [a, b] = [keys.get(i), keys.get(j)];
        if (a === null || b === null) return (a === null) - (b === null);
        return sign * (typeof a === "number" ? a - b : collator.compare(a, b));
      });
    }
    function show(most) {
      const size = most || Number(byId("rows").value);
      const pages = Math.max(1, Math.ceil(state.order.length / size));
      const shown = state.order.slice(state.page * size, (state.page + 1) * size);
      body.replaceChildren(...shown.map(row));
      const noun = " " + table.noun + (genes.id.length === 1 ? "" : "s");
      const cut = most && state.order.length > most ? ", of which the first " + grouped(most) + " are printed; all rows are in report/genes.csv" : "";
      const whose = most ? " (" + arms[state.arm].label + ")" : "";
      byId("found").textContent = grouped(state.order.length) + " of " + grouped(genes.id.length) + noun + whose + cut;
      byId("page").textContent = "Page " + grouped(state.page + 1) + " of " + grouped(pages);
      byId("previous").disabled = state.page === 0;
      byId("next").disabled = state.page + 1 >= pages;
    }
    function row(i) {
      const made = element("tr", undefined, outcome(i) === "significant, wrong sign" ? "wrong" : "");
      for (const { cell, right } of columns) made.append(element("td", cell(i), right ? "right" : ""));
      return made;
    }
    function sortBy(place) {
      state.descending = state.column === place && !state.descending;
      state.column = place;
      [...head.children].forEach((cell, index) => {
        if (index === place) cell.setAttribute("aria-sort", state.descending ? "descending" : "ascending");
        else cell.removeAttribute("aria-sort");
      });
      choose();
    }
    function turn(by) { state.page += by; show(); }

    columns.forEach(({ title, right }, place) => {
      const button = element("button", title);
      button.type = "button";
      button.addEventListener("click", () => sortBy(place));
      const cell = element("th", button, right ? "right" : "");
      cell.scope = "col";
      head.append(cell);
    });
    byId("search").addEventListener("input", choose);
    byId("arm").addEventListener("change", (event) => { state.arm = Number(event.target.value); choose(); });
    byId("rows").addEventListener("change", () => { state.page = 0; show(); });
    window.addEventListener("beforeprint", () => {
      state.before = state.page;
      state.page = 0;
      show(MOST_ON_PAPER);
    });
    window.addEventListener("afterprint", () => { state.page = state.before; show(); });
    byId("previous").addEventListener("click", () => turn(-1));
    byId("next").addEventListener("click", () => turn(1));
    document.querySelector(".controls").addEventListener("submit", (event) => event.preventDefault());
    choose();
  }
})();
