import type { Machine } from '#mesh/machine/snapshots/machine.ts'
import type { MarketEvent, MarketItem } from '#mesh/protocol/engine.ts'
import { engineRules } from './domain/rules.ts'
import type { EngineState } from './domain/state.ts'
import { createReads, type Reads } from './reads.ts'

/** The machine of this service, as the process and the helper beside it run it. */
export function createMachine(): {
  readonly machine: Machine<EngineState, MarketItem, MarketEvent>
  readonly reads: Reads
} {
  const reads = createReads()
  return { machine: { rules: engineRules, observe: reads.observe, memory: reads.memory }, reads }
}
