// Receives lines and their panels; draws a plot each panel, one below the other, with one cursor for all.

import { data, drawLine, LABELS_PX, type LineLook } from "./line";
import type { Lines, Panel } from "./shape";

const LEAST_PX = 40; // of a plot: two labels of its axis
const OWN_LEGEND_PX = 18; // above each of several plots
const LEGEND_PX = 30; // below a single one: whoever gives the height has left room for it

/** Lines that are drawn: they can be given another size and other values of the same lines. */
export interface Drawing {
  resize(width: number, height: number): void;
  update(lines: Lines): void;
  destroy(): void;
}

/** Heights of the plots of so many panels in px, the lowest with its labels of time. */
export function heights(height: number, count: number): number[] {
  if (count === 1) return [height];
  const each = Math.floor((height + LEGEND_PX - LABELS_PX) / count) - OWN_LEGEND_PX;
  return Array.from({ length: count }, (_, i) => Math.max(LEAST_PX, each) + (i === count - 1 ? LABELS_PX : 0));
}

let drawings = 0;

export function drawLines(box: HTMLElement, lines: Lines, panels: readonly Panel[], look: LineLook): Drawing {
  const sync = `panels ${++drawings}`;
  const tall = heights(look.height, panels.length);
  box.classList.toggle("panels", panels.length > 1);
  const plots = panels.map((panel, i) => {
    const among = panels.length > 1 ? { sync, lowest: i === panels.length - 1 } : null;
    return drawLine(box, lines, panel, { ...look, height: tall[i] as number }, among);
  });
  return {
    resize: (width, height) => {
      const sizes = heights(height, plots.length);
      plots.forEach((plot, i) => {
        const height = sizes[i] as number;
        if (plot.width !== width || plot.height !== height) plot.setSize({ width, height });
      });
    },
    update: (lines) => {
      panels.forEach((panel, i) => {
        plots[i]?.setData(data(lines, panel));
      });
    },
    destroy: () => {
      for (const plot of plots) plot.destroy();
    },
  };
}
