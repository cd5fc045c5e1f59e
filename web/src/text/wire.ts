// English texts of requests that fail without a sentence of the server's. They stand behind what was to be read.

export const wire = {
  away: "the server does not answer",
  without: (status: number) => `the server answered ${status}, without a word why`,
};
