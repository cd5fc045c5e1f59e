// English texts of the way between the page's views.

export const views = {
  label: "Views",
  all: [
    ["city", "City"],
    ["explore", "Explore"],
    ["operations", "Operations"],
  ] as const,
  titleOf: (view: string) => `${view} · Watling`,
  skip: "Skip to the view",
  loading: "Loading …",
  failed: "This view could not be loaded. Load the page again.",
};
