// Receives the fleet's columns; draws every vehicle as one point on the GPU, moving between its last two reports.
//
// One draw call. Coloured by speed: an arrow where a heading is known and the vehicle moves, a dot where it stands.
// Coloured by type: a shape a kind, with a nose towards its heading while it moves. A ring once it is silent. Nothing is
// extrapolated: a vehicle stops where it was last reported, and fades. Only rows that changed are sent to the GPU, and no
// frame is begun before the GPU has finished the last: on a slow one frames queue up otherwise, and show the past.

import type { CustomLayerInterface, CustomRenderMethodInput, Map as MapLibre } from "maplibre-gl";
import { clock, type Fleet, FROM_X, KIND, ORIGIN_X, ORIGIN_Y, SPEED, START, STRIDE, TO_X } from "../state/fleet";
import type { Theme } from "../state/prefs.svelte";
import { MAP_COLORS, rgb, SPEED_COLORS, SPEED_STEPS, UNKNOWN_COLOR } from "./colors";
import { KIND_COLORS, KINDS } from "./kinds";

/** What the colours say. */
export type ColorBy = "speed" | "type";

const VERTEX = `#version 300 es
precision highp float;
layout(location = 0) in vec2 a_from;
layout(location = 1) in vec2 a_to;
layout(location = 2) in vec2 a_move;   // start, duration
layout(location = 3) in vec3 a_facts;  // speed, heading, seen
layout(location = 4) in float a_kind;
uniform mat4 u_matrix;
uniform float u_now;
uniform float u_size;
uniform int u_selected;
uniform vec3 u_colors[${SPEED_STEPS.length}];
uniform vec3 u_kinds[${KINDS.length}];
uniform vec3 u_unknown;
uniform float u_step;
uniform bool u_by_type;
flat out vec3 v_color;
flat out vec2 v_turn;
flat out float v_shape;  // 0 dot, 1 arrow, 2 ring, 3 + kind
flat out float v_nose;
flat out float v_alpha;
flat out float v_selected;
void main() {
  float speed = a_facts.x, heading = a_facts.y, seen = a_facts.z;
  bool chosen = gl_VertexID == u_selected;
  if (seen == -1.0 || a_kind < 0.0) { gl_Position = vec4(2.0, 2.0, 2.0, 1.0); gl_PointSize = 0.0; return; }
  float share = a_move.y > 0.0 ? clamp((u_now - a_move.x) / a_move.y, 0.0, 1.0) : 1.0;
  gl_Position = u_matrix * vec4(mix(a_from, a_to, share), 0.0, 1.0);
  float silent = u_now - seen;
  v_alpha = mix(1.0, 0.5, smoothstep(15.0, 60.0, silent)) * mix(1.0, 0.5, smoothstep(60.0, 900.0, silent));
  bool moves = heading >= 0.0 && speed >= 2.0;
  v_nose = moves ? 1.0 : 0.0;
  v_shape = silent > 60.0 ? 2.0 : (u_by_type ? 3.0 + a_kind : v_nose);
  float at = clamp(speed / u_step, 0.0, float(${SPEED_STEPS.length - 1}));
  int low = int(at);
  int high = min(low + 1, ${SPEED_STEPS.length - 1});
  vec3 by_speed = speed < 0.0 ? u_unknown : mix(u_colors[low], u_colors[high], at - float(low));
  v_color = silent > 60.0 ? u_unknown : (u_by_type ? u_kinds[int(a_kind)] : by_speed);
  float angle = moves ? radians(heading) : 0.0;
  v_turn = vec2(cos(angle), sin(angle));
  v_selected = chosen ? 1.0 : 0.0;
  if (chosen) v_alpha = 1.0;
  gl_PointSize = (chosen ? u_size * 1.7 : u_size) * (v_shape == 1.0 ? 1.0 : v_shape > 2.5 ? 1.15 : 0.8);
}`;

const FRAGMENT = `#version 300 es
precision highp float;
uniform vec3 u_halo;
uniform vec3 u_mark;
flat in vec3 v_color;
flat in vec2 v_turn;
flat in float v_shape;
flat in float v_nose;
flat in float v_alpha;
flat in float v_selected;
out vec4 color;
float arrow(vec2 p) {  // pointing up; negative inside
  float side = abs(p.x) * 0.894 + (p.y - 0.86) * 0.447;   // the two long edges
  float notch = -p.y - 0.30 - abs(p.x) * 0.62;            // the notched base
  return max(side, notch - 0.22);
}
float bar(vec2 p, float x, float y) { return max(abs(p.x) - x, abs(p.y) - y); }
float kind(vec2 p, float k) {
  if (k < 0.5) return length(p) - 0.46;                                        // car: disc
  if (k < 1.5) return bar(p, 0.42, 0.42);                                      // van: square
  if (k < 2.5) return bar(p, 0.27, 0.60);                                      // truck: long bar
  if (k < 3.5) return (abs(p.x) + abs(p.y) - 0.62) * 0.707;                    // bus: diamond
  if (k < 4.5) return max(abs(p.x) * 0.94 + p.y * 0.34 - 0.26, -p.y - 0.42);   // motorcycle: slim triangle
  if (k < 5.5) return min(bar(p, 0.19, 0.56), bar(p, 0.56, 0.19));             // emergency: cross
  return length(p) - 0.28;                                                     // other: small disc
}
void main() {
  vec2 p = (gl_PointCoord * 2.0 - 1.0) * vec2(1.0, -1.0);
  float r = length(p);
  float d;
  if (v_shape == 1.0) {
    vec2 q = vec2(p.x * v_turn.x - p.y * v_turn.y, p.x * v_turn.y + p.y * v_turn.x);
    d = arrow(v_selected > 0.5 ? q * 1.7 : q * 1.08);
  } else if (v_shape > 2.5) {
    vec2 q = vec2(p.x * v_turn.x - p.y * v_turn.y, p.x * v_turn.y + p.y * v_turn.x) * (v_selected > 0.5 ? 1.7 : 1.0);
    d = kind(q, v_shape - 3.0);
    if (v_nose > 0.5) d = min(d, max(abs(q.x) * 0.894 + (q.y - 0.92) * 0.447, 0.40 - q.y));
  } else {
    d = (v_selected > 0.5 ? r * 1.9 : r) - 0.62;
  }
  float edge = 0.10;
  float body = 1.0 - smoothstep(-edge, edge, d);
  float halo = 1.0 - smoothstep(0.14 - edge, 0.14 + edge, d);
  if (v_shape == 2.0) {
    float inner = 1.0 - smoothstep(-edge, edge, d + 0.24);
    body = max(0.0, body - inner);
    halo = body;
  }
  vec3 rgb = mix(u_halo, v_color, body);
  float alpha = max(body, halo * 0.85) * v_alpha;
  if (v_selected > 0.5) {
    float ring = 1.0 - smoothstep(0.05, 0.12, abs(r - 0.86));
    rgb = mix(rgb, u_mark, ring);
    alpha = max(alpha, ring);
  }
  if (alpha < 0.02) discard;
  color = vec4(rgb * alpha, alpha);
}`;

/** The browser's timeline has this mark when vehicles were drawn for the first time. */
export const FIRST_DRAWN = "vehicles drawn";
const FLOAT = 4;
const LONGEST_FRAME_S = 3; // then a fence counts as lost

export class VehicleLayer implements CustomLayerInterface {
  readonly id = "vehicles";
  readonly type = "custom" as const;
  selected: number | null = null;
  colorBy: ColorBy = "speed";
  #map: MapLibre | null = null;
  #gl: WebGL2RenderingContext | null = null;
  #fence: { sync: WebGLSync; since: number; vehicles: number } | null = null;
  #marked = false;
  #program: WebGLProgram | null = null;
  #buffer: WebGLBuffer | null = null;
  #array: WebGLVertexArrayObject | null = null;
  #uniforms = new Map<string, WebGLUniformLocation | null>();
  #whole = true;
  #capacity = 0;
  #theme: Theme;
  #fleet: Fleet;

  constructor(fleet: Fleet, theme: Theme) {
    this.#fleet = fleet;
    this.#theme = theme;
  }

  /** Draw another fleet from now on. */
  setFleet(fleet: Fleet): void {
    this.#fleet = fleet;
    this.#whole = true;
    this.selected = null;
  }

  setTheme(theme: Theme): void {
    this.#theme = theme;
    this.#map?.triggerRepaint();
  }

  onAdd(map: MapLibre, gl: WebGL2RenderingContext): void {
    this.#map = map;
    this.#gl = gl;
    this.#fence = null;
    this.#program = link(gl);
    this.#buffer = gl.createBuffer();
    this.#array = gl.createVertexArray();
    this.#whole = true;
    this.#capacity = 0;
    this.#uniforms.clear();
    gl.bindVertexArray(this.#array);
    gl.bindBuffer(gl.ARRAY_BUFFER, this.#buffer);
    const columns: [location: number, size: number, first: number][] = [
      [0, 2, FROM_X],
      [1, 2, TO_X],
      [2, 2, START],
      [3, 3, SPEED],
      [4, 1, KIND],
    ];
    for (const [location, size, first] of columns) {
      gl.enableVertexAttribArray(location);
      gl.vertexAttribPointer(location, size, gl.FLOAT, false, STRIDE * FLOAT, first * FLOAT);
    }
    gl.bindVertexArray(null);
  }

  onRemove(_map: MapLibre, gl: WebGL2RenderingContext): void {
    gl.deleteProgram(this.#program);
    gl.deleteBuffer(this.#buffer);
    gl.deleteVertexArray(this.#array);
    this.#map = null;
  }

  render(gl: WebGL2RenderingContext, input: CustomRenderMethodInput): void {
    if (!this.#program) return;
    const now = this.#fleet.time.now();
    const colors = MAP_COLORS[this.#theme];
    gl.useProgram(this.#program);
    gl.bindVertexArray(this.#array);
    this.#upload(gl);
    gl.uniformMatrix4fv(this.#at(gl, "u_matrix"), false, relative(input.defaultProjectionData.mainMatrix));
    gl.uniform1f(this.#at(gl, "u_now"), now);
    gl.uniform1f(this.#at(gl, "u_step"), SPEED_STEPS[1]);
    gl.uniform1i(this.#at(gl, "u_selected"), this.selected ?? -1);
    gl.uniform3fv(this.#at(gl, "u_colors"), SPEED_COLORS[this.#theme].flatMap(rgb));
    gl.uniform3fv(this.#at(gl, "u_kinds"), KIND_COLORS[this.#theme].flatMap(rgb));
    gl.uniform1i(this.#at(gl, "u_by_type"), this.colorBy === "type" ? 1 : 0);
    gl.uniform3fv(this.#at(gl, "u_unknown"), rgb(UNKNOWN_COLOR[this.#theme]));
    gl.uniform3fv(this.#at(gl, "u_halo"), rgb(colors.halo));
    gl.uniform3fv(this.#at(gl, "u_mark"), rgb(colors.trail));
    const zoom = this.#map?.getZoom() ?? 7;
    const size = Math.min(26, Math.max(9, 9 + (zoom - 6) * 2.2));
    gl.uniform1f(this.#at(gl, "u_size"), size * window.devicePixelRatio);
    gl.disable(gl.DEPTH_TEST);
    gl.disable(gl.STENCIL_TEST);
    gl.enable(gl.BLEND);
    gl.blendFunc(gl.ONE, gl.ONE_MINUS_SRC_ALPHA);
    gl.drawArrays(gl.POINTS, 0, this.#fleet.length);
    if (this.selected !== null) gl.drawArrays(gl.POINTS, this.selected, 1); // once more, above its neighbours
    gl.bindVertexArray(null);
    this.#fleet.takeDrawn();
    if (this.#fence) gl.deleteSync(this.#fence.sync);
    const sync = gl.fenceSync(gl.SYNC_GPU_COMMANDS_COMPLETE, 0);
    this.#fence = sync && { sync, since: clock(), vehicles: this.#fleet.size };
    gl.flush();
  }

  /** True when the GPU has finished what it was last given. */
  finished(): boolean {
    const [gl, fence] = [this.#gl, this.#fence];
    if (!gl || !fence) return true;
    const done = gl.getSyncParameter(fence.sync, gl.SYNC_STATUS) === gl.SIGNALED || gl.isContextLost();
    if (!done && clock() - fence.since < LONGEST_FRAME_S) return false;
    gl.deleteSync(fence.sync);
    this.#fence = null;
    if (!this.#marked && fence.vehicles > 0) {
      this.#marked = true;
      performance.mark(FIRST_DRAWN);
    }
    this.#fleet.shownNow();
    return true;
  }

  #upload(gl: WebGL2RenderingContext): void {
    const { rows } = this.#fleet;
    const changed = this.#fleet.takeChanged();
    gl.bindBuffer(gl.ARRAY_BUFFER, this.#buffer);
    if (this.#whole || this.#capacity !== rows.length) {
      this.#whole = false;
      this.#capacity = rows.length;
      gl.bufferData(gl.ARRAY_BUFFER, rows, gl.DYNAMIC_DRAW);
      return;
    }
    for (const [from, to] of changed) {
      gl.bufferSubData(gl.ARRAY_BUFFER, from * STRIDE * FLOAT, rows, from * STRIDE, (to - from) * STRIDE);
    }
  }

  #at(gl: WebGL2RenderingContext, name: string): WebGLUniformLocation | null {
    let found = this.#uniforms.get(name);
    if (found === undefined && this.#program) {
      found = gl.getUniformLocation(this.#program, name);
      this.#uniforms.set(name, found);
    }
    return found ?? null;
  }
}

/** The matrix for coordinates relative to the fleet's origin, moved in doubles before they become floats. */
function relative(matrix: ArrayLike<number>): Float32Array {
  const out = new Float32Array(16);
  for (let i = 0; i < 16; i++) out[i] = matrix[i] as number;
  for (let row = 0; row < 4; row++) {
    const [a, b, d] = [matrix[row], matrix[4 + row], matrix[12 + row]] as [number, number, number];
    out[12 + row] = a * ORIGIN_X + b * ORIGIN_Y + d;
  }
  return out;
}

function link(gl: WebGL2RenderingContext): WebGLProgram {
  const program = gl.createProgram();
  for (const [kind, source] of [
    [gl.VERTEX_SHADER, VERTEX],
    [gl.FRAGMENT_SHADER, FRAGMENT],
  ] as const) {
    const shader = gl.createShader(kind);
    if (!shader) throw new Error("the browser gave no shader");
    gl.shaderSource(shader, source);
    gl.compileShader(shader);
    if (!gl.getShaderParameter(shader, gl.COMPILE_STATUS)) {
      throw new Error(`the vehicles' shader does not compile: ${gl.getShaderInfoLog(shader)}`);
    }
    gl.attachShader(program, shader);
  }
  gl.linkProgram(program);
  if (!gl.getProgramParameter(program, gl.LINK_STATUS)) {
    throw new Error(`the vehicles' shader does not link: ${gl.getProgramInfoLog(program)}`);
  }
  return program;
}
