"use strict";
(() => {
  const said = document.createElement("p");
  said.className = "unseen";
  said.setAttribute("role", "status");
  document.body.append(said);

  const number = (text) => Number.parseFloat(text.replace(/[\u202f\u00a0, %]/g, ""));

  const order = (isNumber, sign) => (a, b) => {
    if (isNumber) {
      const [x, y] = [number(a.text), number(b.text)];
      if (Number.isNaN(x) || Number.isNaN(y)) return Number.isNaN(x) - Number.isNaN(y) || a.place - b.place;
      return sign * (x - y) || a.place - b.place;
    }
    const [noX, noY] = [a.text === "–" || a.text === "", b.text === "–" || b.text === ""];
    if (noX || noY) return noX - noY || a.place - b.place;
    return sign * a.text.localeCompare(b.text, "en", { numeric: true }) || a.place - b.place;
  };

  const sort = (table, header, column) => {
    const sign = header.getAttribute("aria-sort") === "ascending" ? -1 : 1;
    const body = table.tBodies[0];
    const rows = Array.from(body.rows, (row) => ({ row, place: Number(row.dataset.place), text: row.cells[column].textContent.trim() }));
    rows.sort(order(header.classList.contains("number"), sign));
    body.append(...rows.map((one) => one.row));
    for (const other of table.tHead.rows[0].cells) other.removeAttribute("aria-sort");
    header.setAttribute("aria-sort", sign > 0 ? "ascending" : "descending");
    said.textContent = `Sorted by ${header.textContent}, ${header.getAttribute("aria-sort")}`;
  };

  for (const table of document.querySelectorAll("table")) {
    if (table.tBodies[0].rows.length < 2) continue;
    Array.from(table.tBodies[0].rows, (row, place) => (row.dataset.place = place));
    Array.from(table.tHead.rows[0].cells, (header, column) => {
      const button = document.createElement("button");
      button.type = "button";
      button.className = "sort";
      button.setAttribute("aria-label", `Sort by ${header.textContent}`);
      button.addEventListener("click", () => sort(table, header, column));
      header.append(button);
      header.addEventListener("click", (event) => event.target === header && button.click());
    });
  }

  const select = (code) => {
    const range = document.createRange();
    range.selectNodeContents(code);
    getSelection().removeAllRanges();
    getSelection().addRange(range);
  };

  for (const block of document.querySelectorAll("pre")) {
    const button = document.createElement("button");
    button.type = "button";
    button.className = "copy";
    button.textContent = "Copy";
    const tell = (text) => {
      button.textContent = text;
      said.textContent = text;
      setTimeout(() => (button.textContent = "Copy"), 4000);
    };
    button.addEventListener("click", async () => {
      try {
        await navigator.clipboard.writeText(block.textContent);
        tell("Copied");
      } catch {
        select(block);
        tell("Selected: press Ctrl+C");
      }
    });
    block.before(button);
  }

  let opened = [];
  addEventListener("beforeprint", () => {
    opened = Array.from(document.querySelectorAll("details:not([open]):not(.sql)"));
    for (const one of opened) one.open = true;
  });
  addEventListener("afterprint", () => {
    for (const one of opened) one.open = false;
  });
})();
