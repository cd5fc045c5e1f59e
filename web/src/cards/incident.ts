// Receives an incident's reports; gives its life: a step where something changed. Pure.

export type Kind = "vehicle" | "camera" | "incident";

export interface Step {
  /** When it was first so, ms since 1970. */
  readonly ms: number;
  readonly type: string | null;
  readonly status: string | null;
  readonly description: string | null;
  readonly road: string | null;
  readonly latitude: number | null;
  readonly longitude: number | null;
  /** Reports that said the same, one after the other. */
  readonly reports: number;
}

const words = (value: unknown): string | null => (typeof value === "string" && value !== "" ? value : null);
const number = (value: unknown): number | null => (typeof value === "number" ? value : null);

/** Steps up to the moment `at` (null: all), oldest first, and how many reports came later. */
export function life(
  reports: readonly Readonly<Record<string, unknown>>[],
  at: number | null,
): { steps: Step[]; later: number } {
  const steps: Step[] = [];
  let later = 0;
  for (const row of reports) {
    const ms = number(row.event_time);
    if (ms === null) continue;
    if (at !== null && ms > at) {
      later++;
      continue;
    }
    const last = steps.at(-1);
    const step: Step = {
      ms,
      type: words(row.type) ?? last?.type ?? null,
      status: words(row.status) ?? last?.status ?? null,
      description: words(row.description) ?? last?.description ?? null,
      road: words(row.road) ?? last?.road ?? null,
      latitude: number(row.latitude) ?? last?.latitude ?? null,
      longitude: number(row.longitude) ?? last?.longitude ?? null,
      reports: 1,
    };
    if (last && last.status === step.status && last.description === step.description && last.type === step.type) {
      steps[steps.length - 1] = { ...step, ms: last.ms, reports: last.reports + 1 };
    } else steps.push(step);
  }
  return { steps, later };
}
