import { afterEach, expect, it, vi } from "vitest";
import { wire as text } from "../text/wire";
import { Refused, read } from "../wire/read";

afterEach(() => vi.unstubAllGlobals());

/** What a request gives when the server answers so, or throws. */
async function said(answer: () => Response | Promise<Response>): Promise<unknown> {
  vi.stubGlobal("fetch", async () => answer());
  return await read("/api", new AbortController().signal).catch((error: unknown) =>
    error instanceof Refused ? [error.message, error.status, error.away] : error,
  );
}

it("a request gives the answer, or a sentence to show and whether the server is away", async () => {
  expect(await said(() => Response.json({ n: 1 }))).toEqual({ n: 1 });
  expect(await said(() => Response.json({ detail: "a limit was met" }, { status: 504 }))).toEqual([
    "a limit was met",
    504,
    false,
  ]);
  const list = { detail: [{ loc: ["query", "limit"], msg: "must be above 0" }] };
  expect(await said(() => Response.json(list, { status: 422 }))).toEqual(["limit: must be above 0", 422, false]);
  expect(await said(() => new Response("oops", { status: 500 }))).toEqual([text.without(500), 500, false]);
  expect(await said(() => Promise.reject(new TypeError("gone")))).toEqual([text.away, 0, true]);
  expect(await said(() => new Response('{"n": '))).toEqual([text.away, 0, true]); // it broke off
});

it("a request that its caller left is no fault of the server", async () => {
  vi.stubGlobal("fetch", (_: string, init: RequestInit) => Promise.reject(init.signal?.reason));
  const leaving = new AbortController();
  leaving.abort(new Error("left"));
  await expect(read("/api", leaving.signal)).rejects.toThrow("left");
});
