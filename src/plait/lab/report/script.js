"use strict";
(() => {
  const root = document.documentElement;
  const all = (selector, within = document) => [...within.querySelectorAll(selector)];
  const one = (id) => document.getElementById(id);
  root.classList.add("js");

  // The theme: as the system, light or dark. A file has no memory that would be its own, so none is kept.
  const themes = ["system", "light", "dark"];
  const words = { system: "as the system", light: "light", dark: "dark" };
  one("theme").addEventListener("click", () => {
    const next = themes[(themes.indexOf(root.dataset.theme ?? "system") + 1) % themes.length];
    if (next === "system") delete root.dataset.theme;
    else root.dataset.theme = next;
    one("theme").textContent = `Theme: ${words[next]}`;
  });

  // Contenders can be left out of the figures of their network.
  for (const box of all(".key input")) {
    box.addEventListener("change", () => {
      for (const part of all("[data-contender]", box.closest(".network"))) {
        if (part.dataset.contender === box.value) part.toggleAttribute("data-off", !box.checked);
      }
    });
  }

  // A title of a drawing is for who cannot see it: browsers would show it over what is pointed at.
  for (const plot of all("svg.plot")) {
    const title = plot.querySelector("title");
    if (!title) continue;
    plot.setAttribute("aria-label", title.textContent);
    plot.removeAttribute("aria-labelledby");
    const description = plot.querySelector("desc");
    if (description) plot.setAttribute("aria-describedby", description.id);
    title.remove();
  }

  // What is under the pointer or has the focus tells its figures.
  const tip = one("tip");
  const show = (text, x, y) => {
    tip.textContent = text;
    tip.hidden = false;
    const { width, height } = tip.getBoundingClientRect();
    tip.style.left = `${Math.max(8, Math.min(x + 12, innerWidth - width - 8))}px`;
    tip.style.top = `${y + 18 + height > innerHeight ? y - height - 12 : y + 18}px`;
  };
  const showBeside = (mark) => {
    const { left, right, bottom } = mark.getBoundingClientRect();
    show(mark.dataset.tip, (left + right) / 2, bottom - 12);
  };
  let follow = null; // What the arrow keys went to: its tip stays with it when the page moves.
  const hide = () => { tip.hidden = true; follow = null; };
  document.addEventListener("pointermove", (event) => {
    const mark = event.target.closest?.("[data-tip]");
    if (mark) show(mark.dataset.tip, event.clientX, event.clientY);
    else if (!event.target.closest?.("[data-rows]")) hide();
  });
  document.addEventListener("focusin", (event) => {
    if (event.target.dataset?.tip) showBeside(event.target);
  });
  document.addEventListener("focusout", hide);
  document.addEventListener("scroll", () => (follow ?? hide)(), { passive: true, capture: true });
  document.addEventListener("keydown", (event) => { if (event.key === "Escape") hide(); });

  // A figure with marks is one stop of the Tab key, and arrow keys go from mark to mark.
  const walk = (canvas, label, count, visit) => {
    let at = -1;
    canvas.tabIndex = 0;
    canvas.setAttribute("role", "group");
    canvas.setAttribute("aria-label", label);
    canvas.addEventListener("keydown", (event) => {
      const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
      if (!step || event.target !== canvas) return;
      event.preventDefault();
      at = Math.max(0, Math.min(count() - 1, at + step));
      follow = () => visit(at);
      follow();
    });
  };
  for (const canvas of all("figure .canvas:not([data-rows])")) {
    const marks = () => all("[data-tip]:not(a)", canvas).filter((mark) => mark.getClientRects().length);
    if (marks().length) {
      walk(canvas, "Arrow keys go from mark to mark", () => marks().length, (at) => showBeside(marks()[at]));
    }
  }

  // The rows of a waterfall are told by the table beside it.
  for (const canvas of all("[data-rows]")) {
    const plot = canvas.querySelector("svg.plot");
    const cursor = canvas.querySelector(".cursor");
    const edges = canvas.dataset.y.split(" ").map(Number);
    const pitch = Number(canvas.dataset.pitch);
    const lines = all("tbody tr", one(canvas.dataset.rows));
    const heads = all("thead th", one(canvas.dataset.rows)).map((cell) => cell.textContent);
    const visit = (at, x, y) => {
      const cells = [...lines[at].cells].map((cell) => cell.textContent);
      cursor.setAttribute("y", edges[at]);
      cursor.setAttribute("height", pitch);
      const box = plot.getBoundingClientRect();
      const times = cells.slice(2).map((text, index) => `${heads[index + 2]} ${text} ms`).join(", ");
      show(`${cells[0]} on connection ${cells[1]}: ${times}`, x ?? box.left, y ?? box.top + edges[at] + pitch);
    };
    canvas.addEventListener("pointermove", (event) => {
      const y = event.clientY - plot.getBoundingClientRect().top;
      const at = edges.findIndex((edge) => y >= edge && y < edge + pitch);
      if (at >= 0) visit(at, event.clientX, event.clientY);
      else hide();
    });
    canvas.addEventListener("pointerleave", () => { hide(); cursor.setAttribute("height", 0); });
    canvas.addEventListener("blur", () => cursor.setAttribute("height", 0));
    walk(canvas, "Arrow keys go from request to request", () => lines.length, (at) => visit(at));
  }

  // Who follows a link to what is folded away wants to see it.
  const reveal = () => {
    const target = location.hash && one(location.hash.slice(1));
    if (target?.tagName === "DETAILS") target.open = true;
  };
  addEventListener("hashchange", reveal);
  reveal();

  // The command and the samples can be taken away.
  one("copy").addEventListener("click", async () => {
    const text = document.querySelector(".command").textContent;
    try {
      await navigator.clipboard.writeText(text);
      one("copy").textContent = "Copied";
    } catch {
      getSelection().selectAllChildren(document.querySelector(".command"));
      one("copy").textContent = "Selected: press Ctrl+C";
    }
  });
  const nested = (columns, row) => {
    const sample = {};
    columns.forEach((column, index) => {
      const names = column.split(".");
      const last = names.pop();
      let at = sample;
      for (const name of names) at = at[name] ??= {};
      // A null of an object that other rows have is not to hide what this row has of it.
      if (row[index] !== null || !(last in at)) at[last] = row[index];
    });
    return sample;
  };
  const emptied = (value) => {
    if (value === null || typeof value !== "object" || Array.isArray(value)) return value;
    const entries = Object.entries(value).map(([name, inner]) => [name, emptied(inner)]);
    return entries.every(([, inner]) => inner === null) ? null : Object.fromEntries(entries);
  };
  const unpacked = () => {
    const record = JSON.parse(one("samples").textContent);
    record.resources = record.resources.rows.map((row) => nested(record.resources.columns, row));
    for (const cell of record.cells) {
      const { columns, rows } = cell.samples;
      cell.samples = rows.map((row, index) => {
        const sample = nested(columns, row);
        sample.link = emptied(sample.link ?? null);
        const run = emptied(sample.measurement ?? null);
        if (run) {
          for (const name of ["fields", "tcp", "server"]) run[name] ??= null;
          run.latencies = [];
          run.timeline = cell.timelines[index] ?? null;
        }
        sample.measurement = run;
        return sample;
      });
      delete cell.timelines;
    }
    return record;
  };
  one("save").addEventListener("click", () => {
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([JSON.stringify(unpacked())], { type: "application/json" }));
    link.download = "samples.json";
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 10000);
  });

  // What is folded away is printed, too, but for tables.
  addEventListener("beforeprint", () => {
    for (const part of all("details.network, .card details")) part.open = true;
  });
})();
