// English texts of the time machine and of the help.

export const time = {
  label: "Time machine",
  live: "Live",
  past: (moment: string) => `past: ${moment}, not live`,
  playing: (speed: number) => `playing at ${speed}×`,
  standing: "standing still",
  nowLabel: "Now",
  now: (state: string) => `now: ${state.toLowerCase()}`,
  nowCount: (n: string) => `${n} now`,
  tilesAreNow: (moment: string) => `These tiles tell of now. The map, the lists and the tiles below it show ${moment}.`,
  listIsNow: (moment: string) => `This list tells of now, not of ${moment}.`,
  mapIsNow: "Map and lists show now; the tiles show the chosen range.",
  goTo: "Show the map at its end",
  notSifted: "The lake has not said yet which vehicles match: all are shown.",
  backToLive: "Back to live",
  backHelp: "Back to live (L)",
  earlier: "A minute earlier (←)",
  later: "A minute later (→)",
  earlierMuch: "Ten minutes earlier (Shift ←)",
  laterMuch: "Ten minutes later (Shift →)",
  play: "Play (Space)",
  pause: "Pause (Space)",
  speed: "Speed",
  times: (speed: number) => `${speed}×`,
  at: "Moment",
  scrub: "Moment on the bar",
  span: "Length of the bar",
  spans: (minutes: number) =>
    minutes === 0
      ? "all"
      : minutes < 60
        ? `${minutes} min`
        : minutes < 1440
          ? `${minutes / 60} h`
          : `${minutes / 1440} d`,
  nothing: "The lake holds nothing yet: there is no past to show.",
  loading: "Being read from the lake …",
  shown: (n: string) => `${n} ${n === "1" ? "vehicle" : "vehicles"} from the lake, by the devices' own time`,
  none: "No vehicle reported in the two minutes before.",
  failed: (why: string) => `Not read: ${why}`,
  from: (moment: string) => `from ${moment}`,
  until: (moment: string) => `until ${moment}`,
  beyond: (moment: string) => `The lake reaches to ${moment} as yet.`,
  ended: "The end of what the lake holds.",
  announceLive: "Live again",
  announcePast: (moment: string) => `The past, ${moment}, not live`,
};

export const help = {
  open: "Keys and help (?)",
  title: "Keys",
  close: "Close",
  singles: "Single keys act (Space, L, ?, arrows)",
  singlesHelp: "Switch this off when speech input or another tool presses keys for you. Everything has a button too.",
  groups: [
    [
      "Time",
      [
        ["←", "a minute earlier; from live: into the past"],
        ["→", "a minute later"],
        ["Shift ←, Shift →", "ten minutes"],
        ["Space", "play, pause"],
        ["L", "back to live"],
      ],
    ],
    [
      "Map",
      [
        ["arrow keys", "move the map while it has the focus"],
        ["+, −", "nearer, farther"],
        ["Shift and drag", "draw an area to filter by"],
      ],
    ],
    [
      "Everywhere",
      [
        ["Tab, Shift Tab", "to the next or previous control"],
        ["Enter", "press what has the focus"],
        ["Escape", "close the card or this window"],
        ["← →", "the next tab, while a tab has the focus"],
        ["?", "this window"],
      ],
    ],
  ] as const,
};
