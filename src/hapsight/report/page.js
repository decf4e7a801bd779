(function () {
  "use strict";
  const ABSENT = "–";

  const data = document.getElementById("gene-data");
  if (data) geneTable(JSON.parse(data.textContent));

  // Charts: every specification stands in the page right after its place.
  for (const source of document.querySelectorAll("script.spec")) {
    const place = source.previousElementSibling;
    const options = {
      renderer: "svg",
      ast: true,
      actions: { export: true, source: false, compiled: false, editor: false },
    };
    vegaEmbed(place, JSON.parse(source.textContent), options).catch((error) => {
      place.textContent = "This picture could not be drawn: " + error.message;
      throw error;
    });
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
    function grouped(number) { return number === null ? ABSENT : number.toLocaleString("en"); }
    function decimal(number) { return number === null ? ABSENT : number.toFixed(3).replace("-", "−"); }
    function pValue(number) {
      if (number === null) return ABSENT;
      if (number >= 0.00095) return number.toFixed(3);
      return number === 0 ? "< 1e−300" : number.toExponential(1).replace("-", "−");
    }
    function element(name, content, className) {
      const made = document.createElement(name);
      if (content !== undefined) made.append(content);
      if (className) made.className = className;
      return made;
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
    function show() {
      const size = Number(byId("rows").value);
      const pages = Math.max(1, Math.ceil(state.order.length / size));
      const shown = state.order.slice(state.page * size, (state.page + 1) * size);
      body.replaceChildren(...shown.map(row));
      byId("found").textContent = grouped(state.order.length) + " of " + grouped(genes.id.length) + " " + table.noun + "s";
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
    byId("previous").addEventListener("click", () => turn(-1));
    byId("next").addEventListener("click", () => turn(1));
    document.querySelector(".controls").addEventListener("submit", (event) => event.preventDefault());
    choose();
  }
})();
