"use strict";
(() => {
  const read = (id) => JSON.parse(document.getElementById(id).textContent);
  const configs = read("chart-configs");
  const dark = matchMedia("(prefers-color-scheme: dark)");

  const draw = async (holder) => {
    holder.dataset.state = "drawing";
    await vegaEmbed(holder, read(holder.dataset.spec), {
      mode: "vega-lite",
      renderer: "svg",
      ast: true,
      config: dark.matches ? configs.dark : configs.light,
      tooltip: { theme: dark.matches ? "dark" : "light" },
      actions: { export: true, source: false, compiled: false, editor: false },
      loader: { load: () => Promise.reject(new Error("nothing is fetched")) },
    });
    holder.dataset.state = "drawn";
  };
  // One after the other, and only those of the table that is shown.
  let queue = Promise.resolve();
  const drawShown = () => {
    for (const holder of document.querySelectorAll(".chart")) {
      if (holder.dataset.state || holder.closest("[hidden]")) continue;
      holder.dataset.state = "waiting";
      queue = queue.then(() => draw(holder)).catch((error) => {
        holder.dataset.state = "failed";
        console.error(error);
      });
    }
  };
  dark.addEventListener("change", () => {
    for (const holder of document.querySelectorAll(".chart")) delete holder.dataset.state;
    drawShown();
  });

  const picker = document.getElementById("view");
  if (picker) {
    const show = () => {
      for (const view of document.querySelectorAll(".view")) view.hidden = view.dataset.view !== picker.value;
      drawShown();
    };
    picker.addEventListener("change", show);
    show();
  }

  const key = (row, column) => {
    const cell = row.cells[column];
    const number = parseFloat((cell.dataset.sort ?? cell.textContent).replace("inf", "Infinity"));
    return Number.isNaN(number) ? cell.dataset.sort ?? cell.textContent : number;
  };
  const compare = (a, b) =>
    typeof a === "number" && typeof b === "number" ? (a === b ? 0 : a - b) : String(a).localeCompare(String(b));
  for (const button of document.querySelectorAll(".sortable th button")) {
    button.addEventListener("click", () => {
      const heading = button.parentElement;
      const ascending = heading.getAttribute("aria-sort") !== "ascending";
      for (const other of heading.parentElement.children) other.removeAttribute("aria-sort");
      heading.setAttribute("aria-sort", ascending ? "ascending" : "descending");
      const body = heading.closest("table").tBodies[0];
      const rows = [...body.rows];
      rows.sort((a, b) => compare(key(a, heading.cellIndex), key(b, heading.cellIndex)) * (ascending ? 1 : -1));
      body.append(...rows);
    });
  }
  drawShown();
})();
