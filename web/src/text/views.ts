// English texts of the way between the page's views.

export const views = {
  label: "Views",
  all: [
    ["city", "City"],
    ["explore", "Explore"],
    ["operations", "Operations"],
  ] as const,
  skip: "Skip to the view",
  failed: "This view could not be loaded. Load the page again.",
};
