// Two backbones, chosen by hand or by the page's address (#a=..&b=..), from the pairs in the page.
(() => {
  "use strict";
  const { recipes, titles, languages } = JSON.parse(document.getElementById("pairs").textContent);
  const form = document.getElementById("choice");
  const place = document.getElementById("comparison");
  const { recipe: recipeBox, a: firstBox, b: secondBox } = form.elements;

  const make = (tag, values = {}, ...children) => {
    const element = document.createElement(tag);
    for (const [key, value] of Object.entries(values)) {
      if (key === "class") element.className = value;
      else if (value !== null) element.setAttribute(key, value);
    }
    element.append(...children);
    return element;
  };
  const percent = (value) => (100 * value).toFixed(1);
  const signed = (value, digits = 1) => {
    const text = Math.abs(100 * value).toFixed(digits);
    return Number(text) === 0 ? text : `${value > 0 ? "+" : "−"}${text}`;
  };
  const span = (own, digits = 1) => `${signed(own.low, digits)} to ${signed(own.high, digits)}`;
  const inWords = (p) => (p < 0.001 ? "< 0.001" : p.toFixed(3));
  const seeds = { own: "", borrowed: "~", unknown: "?" };

  function fill(box, options, chosen) {
    box.replaceChildren(...options.map(([value, text]) => make("option", { value }, text)));
    if (options.some(([value]) => value === chosen)) box.value = chosen;
  }

  const current = () => recipes.find((own) => own.name === recipeBox.value) || recipes[0];
  const option = ([name, own]) => [name, `${own.title} (${own.family})`];

  function fillBackbones(first, second) {
    const options = Object.entries(current().backbones).map(option);
    fill(firstBox, options, first);
    fill(secondBox, options, second);
    if (secondBox.value === firstBox.value) {
      const other = options.find(([value]) => value !== firstBox.value);
      if (other) secondBox.value = other[0];
    }
  }

  // An estimate of the first minus the second, whichever way the pair was kept.
  function turned(own, sign) {
    const [low, high] = [sign * own.low, sign * own.high].sort((x, y) => x - y);
    return { ...own, value: sign * own.value, low, high };
  }

  function found(recipe, a, b) {
    for (const pair of recipe.pairs) {
      const sign = pair.first === a && pair.second === b ? 1 : pair.first === b && pair.second === a ? -1 : 0;
      if (!sign) continue;
      return Object.entries(pair.tasks).map(([task, own]) => ({
        task,
        difference: turned(own.difference, sign),
        holm: own.p_holm,
        better: own.better,
        languages: Object.fromEntries(Object.entries(own.languages).map(([key, value]) => [key, turned(value, sign)])),
      }));
    }
    return [];
  }

  function table(caption, heads, rows) {
    const head = make("tr", {}, ...heads.map(([text, note]) => make("th", { scope: "col", class: text ? "num" : "", title: note || null }, text)));
    return make(
      "div",
      { class: "table" },
      make(
        "div",
        { class: "scroll", role: "region", tabindex: "0", "aria-label": caption },
        make("table", {}, make("caption", {}, make("span", {}, caption)), make("thead", {}, head), make("tbody", {}, ...rows)),
      ),
    );
  }

  const link = (href, text) => make("a", { href }, text);

  function cell(href, text, { note = null, kind = "num" } = {}) {
    const inside = [text ? link(href, text) : ""];
    if (note) inside.push(make("span", { class: "vh" }, ` ${note}`));
    return make("td", { class: kind, title: note }, ...inside);
  }

  function taskTable(recipe, rows, names) {
    const [one, other] = names.map((name) => recipe.backbones[name].title);
    const heads = [["", ""], [one], [other], ["difference"], ["95% interval"], ["p"], ["p (Holm)"], ["better"]];
    const lines = rows.map(({ task, difference, holm, better }) => {
      const kind = better ? (better === names[0] ? "num better" : "num worse") : "num";
      const scores = names.map((name) => cell(recipe.json, percent(recipe.backbones[name].scores[task])));
      return make(
        "tr",
        {},
        make("th", { scope: "row" }, task === "all" ? titles[task] : link(`task-${task}.html`, titles[task])),
        ...scores,
        cell(recipe.json, signed(difference.value), { kind }),
        cell(recipe.json, `${span(difference)}${seeds[difference.seeds]}`),
        cell(recipe.json, inWords(difference.p)),
        cell(recipe.json, inWords(holm)),
        make("td", {}, better ? recipe.backbones[better].title : "tied"),
      );
    });
    return table(`${one} minus ${other}, by task, in points`, heads, lines);
  }

  function languageTable(recipe, rows, names) {
    const used = Object.keys(languages).filter((code) => rows.some((row) => row.languages[code]));
    const heads = [["", ""], ...used.map((code) => [code, languages[code]])];
    const lines = rows
      .filter(({ task }) => task !== "all")
      .map((row) =>
        make(
          "tr",
          {},
          make("th", { scope: "row" }, link(`task-${row.task}.html`, titles[row.task])),
          ...used.map((code) => {
            const own = row.languages[code];
            if (!own) return make("td", {});
            const sure = own.p <= 0.05;
            const kind = `num ${sure ? `sure ${own.value > 0 ? "better" : "worse"}` : ""}`;
            const note = `${languages[code]}: 95% interval ${span(own, 2)}, p ${inWords(own.p)}, not adjusted`;
            return cell(recipe.json, signed(own.value), { note, kind });
          }),
        ),
      );
    const [one, other] = names.map((name) => recipe.backbones[name].title);
    return table(`${one} minus ${other}, by language, in points`, heads, lines);
  }

  function forest(recipe, rows) {
    const shown = [...rows].reverse();
    const trace = (chosen, name, symbol) => ({
      type: "scatter",
      mode: "markers",
      name,
      x: chosen.map(({ difference }) => 100 * difference.value),
      y: chosen.map(({ task }) => titles[task]),
      error_x: {
        type: "data",
        array: chosen.map(({ difference }) => 50 * (difference.high - difference.low)),
        thickness: 2,
        width: 4,
      },
      customdata: chosen.map(() => recipe.json),
      hovertext: chosen.map(({ task, difference }) => `${titles[task]}: ${signed(difference.value)} (${span(difference)})`),
      hovertemplate: "%{hovertext}<extra></extra>",
      marker: { symbol, size: 10, line: { width: 2 } },
      meta: { ink: "accent" },
      showlegend: chosen.length > 0,
    });
    return {
      data: [
        trace(shown.filter(({ better }) => better), "significant (Holm)", "circle"),
        trace(shown.filter(({ better }) => !better), "tied", "circle-open"),
      ],
      layout: {
        margin: { l: 80, r: 12, t: 12, b: 48 },
        legend: { orientation: "h", x: 0, y: 1.02, yanchor: "bottom" },
        hovermode: "closest",
        dragmode: false,
        xaxis: { title: { text: "← second better · points · first better →" }, zeroline: true, fixedrange: true },
        yaxis: {
          type: "category",
          categoryorder: "array",
          categoryarray: shown.map(({ task }) => titles[task]),
          fixedrange: true,
        },
      },
    };
  }

  function show() {
    const recipe = current();
    const names = [firstBox.value, secondBox.value];
    const rows = names[0] === names[1] ? [] : found(recipe, ...names);
    if (!rows.length) {
      const why = names[0] === names[1] ? "Choose two different backbones." : "They have no task in common.";
      place.replaceChildren(make("p", { class: "answer" }, why));
      return;
    }
    const plot = make("div", { class: "plot", role: "img", "aria-label": "Differences by task; the table has the numbers" });
    plot.dataset.height = String(120 + 34 * rows.length);
    place.replaceChildren(make("figure", {}, plot), taskTable(recipe, rows, names), languageTable(recipe, rows, names));
    window.xglueSite.plot(plot, forest(recipe, rows));
  }

  function choose() {
    const values = new URLSearchParams({ a: firstBox.value, b: secondBox.value });
    if (recipes.length > 1) values.set("recipe", recipeBox.value);
    try {
      history.replaceState(null, "", `#${values}`);
    } catch {
      location.hash = String(values);
    }
    show();
  }

  function read() {
    const values = new URLSearchParams(location.hash.slice(1));
    const all = recipes.map(({ name, title }) => [name, title]);
    fill(recipeBox, all, values.get("recipe"));
    fillBackbones(values.get("a"), values.get("b"));
    show();
  }

  form.hidden = false;
  form.addEventListener("submit", (event) => event.preventDefault());
  recipeBox.addEventListener("change", () => {
    fillBackbones(firstBox.value, secondBox.value);
    choose();
  });
  for (const box of [firstBox, secondBox]) box.addEventListener("change", choose);
  addEventListener("hashchange", read);
  read();
})();
