// A table as CSV by RFC 4180, safe to open in a spreadsheet. Touches no page.
(() => {
  "use strict";
  const bus = (globalThis.sensorbus ??= {});

  /** Return a cell; text that a spreadsheet would run as a formula gets an apostrophe, numbers stay numbers. */
  function cell(value) {
    if (typeof value === "number") return String(value);
    const text = /^[=+\-@\t\r]/.test(value) ? `'${value}` : value;
    return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
  }

  /** Return the rows as CSV, each line ended by CR LF. */
  function table(rows) {
    return rows.map((row) => `${row.map(cell).join(",")}\r\n`).join("");
  }

  bus.csv = { cell, table };
})();
