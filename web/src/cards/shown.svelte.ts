// Receives from the open card what belongs on the map; gives it to the map.

interface Spot {
  readonly latitude: number;
  readonly longitude: number;
}

class Shown {
  /** Lines of [longitude, latitude]; none is joined to the next. */
  trail = $state.raw<readonly (readonly [number, number])[][]>([]);
  /** Where the camera or incident of the card stands. */
  place = $state.raw<Spot | null>(null);
  /** Someone asked for it: the map brings it into view once. */
  request = $state.raw<Spot | null>(null);

  mark(place: Spot | null): void {
    const known = this.place;
    if (place?.latitude !== known?.latitude || place?.longitude !== known?.longitude) this.place = place;
  }

  look(place: Spot): void {
    this.request = { ...place };
  }
}

export const shown = new Shown();
