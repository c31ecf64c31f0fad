import type { Presence } from '#mesh/presence.ts'
import type { Projection } from './state.ts'

const PREFIX = 'projection '

/** How far behind each slot of each projection is, as the instances that write them say. */
export function projectionsOf(heard: readonly Presence[]): Projection[] {
  return heard
    .flatMap(({ instance, health }) =>
      Object.entries(health.checks).flatMap(([check, { detail }]) => {
        if (!check.startsWith(PREFIX)) return []
        const { slots = {} } = (detail ?? {}) as { slots?: Record<string, { lagMs: number; error?: string }> }
        return Object.entries(slots).map(
          ([slot, { lagMs, error = '' }]): Projection => ({
            name: check.slice(PREFIX.length),
            slot: Number(slot),
            lagMs,
            instance,
            error,
          }),
        )
      }),
    )
    .sort((a, b) => (a.name === b.name ? a.slot - b.slot : a.name < b.name ? -1 : 1))
}
