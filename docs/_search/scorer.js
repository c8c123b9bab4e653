// How the site's search ranks what it finds. The figures are Sphinx's own but for `score`, which puts pages that solve a
// problem before those that only name its words.
var Scorer = {
  objNameMatch: 11,
  objPartialMatch: 6,
  objPrio: { 0: 15, 1: 5, 2: -5 },
  objPrioDefault: 0,
  title: 15,
  partialTitle: 7,
  term: 5,
  partialTerm: 2,
  score: ([page, , , , score, , kind]) => {
    if (kind === "object") return score;
    if (["changelog", "conformance", "reliability"].includes(page)) return score - 6;
    // What is made from docstrings and options is found by the names in it.
    return /^reference\/(clients|command|local|sandboxes|templates|values)$/.test(page) ? score : score + 4;
  },
};
