// English texts of the explore view.

export interface Example {
  readonly title: string;
  readonly sql: string;
}

export const explore = {
  title: "Explore",
  label: "Explore the lake in SQL",
  editor: "SQL",
  editorHelp: "Ctrl+Enter runs it, Escape stops it. It only reads.",
  placeholder: "select make, count(*) as events from vehicle group by make order by events desc",
  run: "Run",
  stop: "Stop",
  limit: "Rows at most",
  running: (seconds: string) => `Running for ${seconds}`,
  opened: "This query came with the address and has not run yet.",
  tooLong: "This query is too long for the address: a link will not reopen it.",
  tables: "Tables and columns",
  insert: (name: string) => `Insert ${name}`,
  tablesFailed: "The list of tables could not be read.",
  examplesTitle: "Examples",
  historyTitle: "Your last queries",
  historyNone: "Queries that you run are kept in this browser.",
  historyClear: "Forget them",
  rows: (n: string, seconds: string) => `${n} rows in ${seconds}`,
  oneRow: (seconds: string) => `1 row in ${seconds}`,
  cutRows: (n: string) => `The first ${n} rows: there are more. Raise the limit, aggregate, or export.`,
  cutBytes: (n: string) =>
    `${n} rows, cut at the memory that the page may use: there are more. Name fewer columns, or export.`,
  bounds: (rows: string, seconds: string) => `At most ${rows} rows and ${seconds} a query.`,
  stopped: "Stopped.",
  result: "Result",
  view: "Show as",
  views: { table: "Table", bars: "Bars", pie: "Pie", line: "Line", histogram: "Histogram" },
  x: "Across",
  y: "Value",
  series: "Split by",
  none: "none",
  every: "all numbers",
  histogramOf: (column: string) => `Rows by ${column}`,
  histogramCount: "rows",
  resultChart: (y: string, x: string) => `${y} by ${x}`,
  exportAs: "Export all rows as",
  csv: "CSV",
  parquet: "Parquet",
  exporting: "Writing the file …",
  exported: (name: string) => `${name} was saved.`,
  exportedCut: (name: string) => `${name} was saved, but cut at the limit of \`query.max_rows\`: there are more rows.`,
  exportFailed: (why: string) => `Not exported: ${why}`,
  start: "Write a query, or take an example. Tables are called as the streams.",
  examples: [
    {
      title: "Events by make",
      sql: "select make, count(*) as events, round(avg(speed_kmh), 1) as kmh\nfrom vehicle\ngroup by make\norder by events desc",
    },
    {
      title: "Vehicles a minute, last hour of data",
      sql: "select time_bucket(interval 1 minute, event_time) as minute,\n  count(*) as events, count(distinct vehicle_id) as vehicles\nfrom vehicle\nwhere event_time > (select max(event_time) from vehicle) - interval 1 hour\ngroup by minute\norder by minute",
    },
    {
      title: "Speeds as they are spread",
      sql: "select speed_kmh\nfrom vehicle\nwhere speed_kmh is not null\nusing sample 900 rows",
    },
    {
      title: "What is in quarantine, and why",
      sql: "select stream, reason, field, count(*) as records, max(record_time) as newest\nfrom quarantine\nwhere released_at is null\ngroup by all\norder by records desc",
    },
    {
      title: "Newest events, with their place in Kafka",
      sql: "select event_time, vehicle_id, speed_kmh, latitude, longitude, _kafka_partition, _kafka_offset\nfrom vehicle\norder by event_time desc\nlimit 100",
    },
    {
      title: "A table's columns",
      sql: "describe vehicle",
    },
  ] as readonly Example[],
};
