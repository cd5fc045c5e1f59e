// Receives single parameters of the page's address; reads and writes them without touching the others.

/** More than this some servers and chats cut off. */
export const LONGEST = 6000;

export function readParameter(name: string): string | null {
  return new URLSearchParams(location.search).get(name);
}

/** Write or, with null, remove parameters; no entry in the browser's history. */
export function writeParameters(values: Readonly<Record<string, string | null>>): void {
  const parameters = new URLSearchParams(location.search);
  for (const [name, value] of Object.entries(values)) {
    if (value === null || value === "") parameters.delete(name);
    else parameters.set(name, value);
  }
  const query = parameters.toString();
  const address = `${location.pathname}${query ? `?${query}` : ""}${location.hash}`;
  if (address !== `${location.pathname}${location.search}${location.hash}`)
    history.replaceState(history.state, "", address);
}
