import assert from 'node:assert/strict'

/**
 * Ids lie on a line of time: 2^21 of them in each second since 2025-01-01, up to 2^53 in the year 2161.
 * A range of the line is handed out once; which one is the lease rules' affair.
 */
export const IDS_PER_SECOND = 2 ** 21

const EPOCH_MS = 1_735_689_600_000
const ID_END = 2 ** 53

/** The id that belongs to a time (milliseconds since 1970), at least 1: 0 is no id. */
export function idAt(timeMs: number): number {
  const id = Math.max(1, Math.floor(((timeMs - EPOCH_MS) * IDS_PER_SECOND) / 1000))
  assert(id < ID_END, 'the clock is beyond the year 2161')
  return id
}

/** The time that belongs to an id, in milliseconds since 1970, with a fraction. */
export const timeOf = (id: number): number => EPOCH_MS + (id / IDS_PER_SECOND) * 1000
