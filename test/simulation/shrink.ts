import { type SimulationOptions, type SimulationResult, simulate } from './simulate.ts'

/** Leaves out fault after fault, as long as something is still wrong: the last run that was. */
export async function shrink(
  failed: SimulationResult,
  options: Pick<SimulationOptions, 'bug' | 'actions'> = {},
): Promise<SimulationResult> {
  let smallest = failed
  for (let index = 0; index < smallest.faults.length; ) {
    const faults = smallest.faults.filter((_, other) => other !== index)
    const result = await simulate({ ...options, seed: failed.seed, faults })
    if (result.wrongs.length > 0) smallest = result
    else index++
  }
  return smallest
}
