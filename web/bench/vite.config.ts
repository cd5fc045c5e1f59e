import { defineConfig } from "vite";

// The page of bench/page_fps.py: `vite build bench --outDir …`. No part of the product.

export default defineConfig({
  base: "./",
  build: { target: "es2023", emptyOutDir: true, chunkSizeWarningLimit: 3000 },
  worker: { format: "es" },
});
