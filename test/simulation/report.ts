import { describeFault } from './faults.ts'
import type { SimulationResult } from './simulate.ts'

const WRONGS_SHOWN = 20

/** What went wrong, by which faults, and what happened last. */
export function reportLines({ seed, faults, wrongs, lastLines }: SimulationResult): string[] {
  return [
    '',
    `✖ Seed ${seed} went wrong:`,
    ...wrongs.slice(0, WRONGS_SHOWN).map((wrong) => `  - ${wrong}`),
    ...(wrongs.length > WRONGS_SHOWN ? [`  - and ${wrongs.length - WRONGS_SHOWN} more`] : []),
    '',
    `These faults are enough for it${faults.length === 0 ? ': none' : ':'}`,
    ...faults.map((fault) => `  ${describeFault(fault)}`),
    '',
    'The last that happened, in milliseconds:',
    ...lastLines.map((line) => `  ${line}`),
    '',
    `Again, with all that happens: npm run simulate -- --seed ${seed} --story`,
  ]
}
