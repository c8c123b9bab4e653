// Asks the search of a built site as its pages do, with their own scripts: node search.js SITE < QUERIES (JSON).
"use strict";

const fs = require("node:fs");
const path = require("node:path");
const vm = require("node:vm");

const site = process.argv[2];
// As much of a browser as the scripts need to give results, without showing them.
const page = {
  document: { getElementById: () => null, documentElement: { dataset: {} } },
  localStorage: { setItem: () => {} },
  console,
  SPHINX_HIGHLIGHT_ENABLED: false,
  _ready: () => {},
  _: (text) => text,
};
page.window = page;
vm.createContext(page);
for (const script of ["_static/language_data.js", "_static/searchtools.js", "searchindex.js"]) {
  // `const` at the top of a script is known to the next one, as in a page.
  vm.runInContext(fs.readFileSync(path.join(site, script), "utf8"), page, { filename: script });
}
page.queries = JSON.parse(fs.readFileSync(0, "utf8"));
const found = vm.runInContext(
  // The best result is the last one; pages that come again are left out.
  "queries.map((query) => [...new Set(Search._performSearch(...Search._parseQuery(query)).reverse().map((one) => one[0]))])",
  page,
);
console.log(JSON.stringify(found));
