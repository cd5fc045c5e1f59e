// Receives from the open card what belongs on the map; gives it to the map.

class Shown {
  /** Lines of [longitude, latitude]; none is joined to the next. */
  trail = $state.raw<readonly (readonly [number, number])[][]>([]);
}

export const shown = new Shown();
