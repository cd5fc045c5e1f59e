// English texts of the charts and of their table twins.

export const charts = {
  asTable: "Table",
  asChart: "Chart",
  asTableOf: (label: string) => `Show ${label} as a table`,
  asChartOf: (label: string) => `Show ${label} as a chart`,
  pick: (value: string) => `Filter by ${value}`,
  unpick: (value: string) => `No longer filter by ${value}`,
  nothing: "No rows.",
  notDrawable: "There is no number in these rows to draw. The table has them.",
  failed: "The chart could not be loaded. The table has the same rows.",
  missing: "not known",
  other: "others",
  joined: "Choose it to see which, as a table.",
  more: (shown: string, all: string) => `The first ${shown} of ${all}; the table has all.`,
  moreRows: (n: string) => `${n} more`,
  page: (from: string, to: string, all: string) => `${from} to ${to} of ${all}`,
  earlier: "Earlier rows",
  later: "Later rows",
  line: (label: string, series: number, points: number) =>
    `${label}: ${series === 1 ? "one line" : `${series} lines`} of ${points} points.`,
  lineOf: (name: string, least: string, most: string, last: string) =>
    `${name}: from ${least} to ${most}, last ${last}.`,
};
