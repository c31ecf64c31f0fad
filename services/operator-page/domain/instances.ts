import type { Presence } from '#mesh/presence.ts'
import { namedRanges } from './ranges.ts'

export interface Instance extends Omit<Presence, 'load' | 'health' | 'tracing'> {
  readonly state: 'ready' | 'waiting' | 'gone'
  /** Checks of its health that fail. */
  readonly waitsFor: readonly string[]
  /** Of one processor, since the look before; null at the first. */
  readonly cpuPercent: number | null
  /** How much of the time its event loop was at work. */
  readonly busyPercent: number | null
  readonly rssBytes: number
  /** How long it has not been heard, where it is gone. */
  readonly goneS: number | null
  /** `accounts 0–3`: what it runs now. */
  readonly owns: readonly string[]
  readonly checks: readonly Check[]
}

interface Check {
  readonly name: string
  readonly isOk: boolean
  /** What else it says, as JSON; empty for nothing. */
  readonly detail: string
}

interface Seen {
  readonly presence: Presence
  readonly cpuPercent: number | null
  readonly busyPercent: number | null
  readonly atMs: number
}

/** Who was heard, by name, with how much they do. */
export type Roster = ReadonlyMap<string, Seen>

/** Two looks in a row: one that is busy for a moment is not gone. */
const SILENT_MS_MAX = 2_200
/** One that is gone is shown for so long. */
const GONE_MS_MAX = 600_000
const DETAIL_CHARS_MAX = 2_000

/** The roster after a look that heard these. */
export function hear(roster: Roster, heard: readonly Presence[], nowMs: number): Roster {
  const next = new Map([...roster].filter(([, { atMs }]) => nowMs - atMs <= GONE_MS_MAX))
  for (const presence of heard) {
    const before = roster.get(presence.instance)
    const isSame = before?.presence.startedAt === presence.startedAt
    const upMs = isSame ? presence.load.upMs - before.presence.load.upMs : 0
    const share = (was: number | undefined, is: number): number | null =>
      was === undefined || upMs <= 0 ? null : Math.round(Math.max(0, (100 * (is - was)) / upMs))
    next.set(presence.instance, {
      presence,
      cpuPercent: isSame ? share(before.presence.load.cpuMs, presence.load.cpuMs) : null,
      busyPercent: isSame ? share(before.presence.load.busyMs, presence.load.busyMs) : null,
      atMs: nowMs,
    })
  }
  return next
}

/** A slot that an instance runs: of a machine, a pusher, a projection. */
export interface Owned {
  readonly instance: string
  readonly name: string
  readonly slot: number
}

/** By service and name. */
export function instancesOf(roster: Roster, owned: readonly Owned[], nowMs: number): Instance[] {
  const owns = Map.groupBy(owned, ({ instance }) => instance)
  return [...roster.values()]
    .map(({ presence, cpuPercent, busyPercent, atMs }): Instance => {
      const { health, load, tracing: _, ...rest } = presence
      const silentMs = nowMs - atMs
      const isGone = silentMs > SILENT_MS_MAX
      const checks = Object.entries(health.checks).map(([name, { ok, detail }]) => ({
        name,
        isOk: ok,
        detail: detailText(detail),
      }))
      return {
        ...rest,
        state: isGone ? 'gone' : health.ready ? 'ready' : 'waiting',
        waitsFor: checks.flatMap(({ name, isOk }) => (isOk ? [] : [name])),
        cpuPercent: isGone ? null : cpuPercent,
        busyPercent: isGone ? null : busyPercent,
        rssBytes: load.rssBytes,
        goneS: isGone ? Math.round(silentMs / 1_000) : null,
        owns: isGone ? [] : namedRanges(owns.get(presence.instance) ?? []),
        checks,
      }
    })
    .sort((a, b) => compare(a.service, b.service) || compare(a.instance, b.instance))
}

function detailText(detail: unknown): string {
  const text = detail === undefined ? '' : typeof detail === 'string' ? detail : JSON.stringify(detail)
  return text.slice(0, DETAIL_CHARS_MAX)
}

/** `gateway-10` comes after `gateway-9`. */
const collator = new Intl.Collator('en', { numeric: true })
const compare = (a: string, b: string): number => collator.compare(a, b)
