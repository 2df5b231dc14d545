// How the search of the site ranks what it finds: points as Sphinx gives them, then more or fewer by page.
var Scorer = {
  // pages of questions go before others that fit as well; those that name everything, after them
  score: ([page, , , , points, , kind]) => {
    if (page.startsWith("questions/") && page !== "questions/index") return points + 3;
    const whole = kind === "text" || kind === "title"; // and not a name that was looked for
    if (whole && ["api", "references", "results"].includes(page)) return points - 10;
    return points;
  },
  objNameMatch: 11,
  objPartialMatch: 6,
  objPrio: { 0: 15, 1: 5, 2: -5 },
  objPrioDefault: 0,
  title: 15,
  partialTitle: 7,
  term: 5,
  partialTerm: 2,
};
