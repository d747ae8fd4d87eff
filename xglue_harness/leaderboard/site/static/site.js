// What all pages do: the theme button, figures, tables that sort, boxes and buttons.
(() => {
  "use strict";
  const every = (selector, root = document) => [...root.querySelectorAll(selector)];

  // Colours of the page, as the browser resolves them for light or dark.
  function ink(name) {
    const probe = document.createElement("span");
    probe.style.color = `var(--${name})`;
    document.body.append(probe);
    const colour = getComputedStyle(probe).color;
    probe.remove();
    return colour;
  }

  function theme() {
    const button = document.getElementById("theme");
    const show = () => {
      button.textContent = window.xglueTheme.dark() ? "Light" : "Dark";
      button.setAttribute("aria-label", `Switch to ${button.textContent.toLowerCase()} colours`);
    };
    button.hidden = false;
    button.addEventListener("click", window.xglueTheme.toggle);
    document.addEventListener("themechange", show);
    show();
  }

  // Figures: their JSON names colours in meta.ink.
  const figures = new Map();

  function coloured(figure, narrow) {
    const { data, layout } = structuredClone(figure);
    const [text, muted, line] = ["ink", "muted", "line"].map(ink);
    for (const trace of data) {
      const name = trace.meta && trace.meta.ink;
      if (name) {
        const colour = ink(name);
        trace.marker = { ...trace.marker, color: colour };
        trace.marker.line = { ...trace.marker.line, color: colour };
        trace.line = { ...trace.line, color: colour };
        for (const bars of ["error_x", "error_y"]) if (trace[bars]) trace[bars].color = colour;
      }
      if (trace.colorbar) trace.colorbar.tickfont = { color: text };
    }
    for (const axis of ["xaxis", "yaxis"]) {
      layout[axis] = { ...layout[axis], color: muted, gridcolor: line, zerolinecolor: muted, linecolor: line, automargin: true };
    }
    if (narrow) {
      layout.xaxis.tickangle = layout.xaxis.ticktext ? -60 : layout.xaxis.tickangle;
      layout.margin = { ...layout.margin, l: 40, r: 4 };
      for (const trace of data) {
        if (trace.colorbar) trace.colorbar.thickness = 8;
        if (trace.marker && trace.marker.size) trace.marker.size *= 0.7;
        for (const bars of ["error_x", "error_y"]) if (trace[bars]) trace[bars].width = 2;
      }
    }
    for (const shape of layout.shapes || []) shape.line = { ...shape.line, color: muted };
    layout.font = { color: text, size: narrow ? 11 : 13, family: getComputedStyle(document.body).fontFamily };
    layout.paper_bgcolor = layout.plot_bgcolor = "rgba(0,0,0,0)";
    layout.hoverlabel = { bgcolor: ink("panel"), bordercolor: line, font: { color: text }, align: "left" };
    return { data, layout };
  }

  function paint(element) {
    const width = element.clientWidth;
    const narrow = width < 560;
    const { data, layout } = coloured(figures.get(element), narrow);
    layout.width = width;
    layout.height = Number(element.dataset.height) + (narrow ? 60 : 0);
    element.dataset.width = String(width);
    window.Plotly.react(element, data, layout, { displayModeBar: false });
  }

  const sizes = new ResizeObserver((entries) => {
    for (const { target } of entries) {
      if (target.clientWidth && target.dataset.width !== String(target.clientWidth)) paint(target);
    }
  });

  // A figure that lies in a closed <details> has no width: it is drawn when that opens.
  function plot(element, figure) {
    figures.set(element, figure);
    if (!window.Plotly) return;
    const closed = element.closest("details:not([open])");
    if (closed) {
      closed.addEventListener("toggle", () => plot(element, figure), { once: true });
      return;
    }
    paint(element);
    if (!element.dataset.linked) {
      element.dataset.linked = "yes";
      sizes.observe(element);
      element.on("plotly_click", (event) => {
        const href = event.points[0].customdata;
        if (typeof href === "string" && href.startsWith("data/")) location.href = href;
      });
    }
  }

  function drawAll() {
    for (const script of every("script[data-plot]")) {
      plot(document.getElementById(script.dataset.plot), JSON.parse(script.textContent));
    }
    document.addEventListener("themechange", () => {
      for (const element of figures.keys()) if (element.dataset.linked) paint(element);
    });
  }

  // Boxes that choose rows by what their attributes say; one for each that differs from row to row.
  const FACETS = { family: "Family", size: "Size", licence: "Licence" };
  const SIZES = ["under 100 M", "100 to 300 M", "300 M to 1 B", "1 B and more"];

  function chooseRows(table, made, tools) {
    const rows = [...table.tBodies[0].rows];
    const chosen = {};
    for (const [facet, name] of Object.entries(FACETS)) {
      const values = [...new Set(rows.map((row) => row.dataset[facet]).filter(Boolean))];
      if (values.length < 2) continue;
      values.sort((one, other) => (facet === "size" ? SIZES.indexOf(one) - SIZES.indexOf(other) : one.localeCompare(other)));
      const box = document.createElement("select");
      box.append(new Option("all", ""), ...values.map((value) => new Option(value, value)));
      const label = document.createElement("label");
      label.className = "facet";
      label.append(`${name} `, box);
      tools.insertBefore(label, tools.querySelector(".show, .csv"));
      box.addEventListener("change", () => {
        chosen[facet] = box.value;
        made.draw();
      });
    }
    made.search.fixed("facets", (text, data, index) => {
      const { dataset } = made.row(index).node();
      return Object.entries(chosen).every(([facet, value]) => !value || dataset[facet] === value);
    });
  }

  // Tables: sorting and a box that filters by the columns of words.
  async function sortTables() {
    const tables = every("table.sortable");
    if (!tables.length || !window.xglueDataTables) return;
    const DataTable = await window.xglueDataTables;
    DataTable.ext.errMode = "throw";
    for (const table of tables) {
      const few = table.tBodies[0].rows.length < 2;
      const made = new DataTable(table, {
        paging: false,
        info: false,
        autoWidth: false,
        ordering: !few,
        searching: !few,
        order: [],
        layout: { topStart: null, topEnd: null, bottomStart: null, bottomEnd: null },
        language: { zeroRecords: "no row has this" },
        columnDefs: [
          { targets: "rank", type: "num", searchable: false, orderSequence: ["asc", "desc"] },
          { targets: "num", type: "num", searchable: false, orderSequence: ["desc", "asc"] },
        ],
      });
      const tools = table.closest(".table").querySelector(".tools");
      const filter = tools.querySelector(".filter");
      if (!few) chooseRows(table, made, tools);
      if (filter && !few) {
        filter.hidden = false;
        filter.querySelector("input").addEventListener("input", (event) => made.search(event.target.value).draw());
      }
    }
    document.documentElement.dataset.tables = "ready";
  }

  function boxes() {
    for (const label of every("label.show")) {
      label.hidden = false;
      const box = label.querySelector("input");
      box.addEventListener("change", () => label.closest(".table").classList.toggle("notes", box.checked));
    }
  }

  function copyButtons() {
    for (const button of every("button.copy")) {
      const code = button.parentElement.querySelector("code");
      button.hidden = false;
      button.addEventListener("click", async () => {
        try {
          await navigator.clipboard.writeText(code.textContent);
          button.textContent = "Copied";
        } catch {
          getSelection().selectAllChildren(code); // then a key does it
          button.textContent = "Selected";
        }
        setTimeout(() => (button.textContent = "Copy"), 2000);
      });
    }
  }

  window.xglueSite = { plot };
  theme();
  boxes();
  copyButtons();
  drawAll();
  sortTables();
})();
