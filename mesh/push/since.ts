import { type Bus, streamsOf } from '#mesh/bus.ts'
import { parseFrameHeader } from '#mesh/frames.ts'
import { EVENTS_STREAM } from '#mesh/subjects.ts'

/** Sequences next to one that is not there any more that are looked at in its place. */
const NEIGHBOURS = 8

/** The sequence of a frame in EVENTS, of whatever slot, before which all are older than this time; 0 where there is none. */
export async function frameBefore(nats: Bus, timeUs: number): Promise<number> {
  const streams = streamsOf(nats)
  const timeAt = async (sequence: number): Promise<number | undefined> => {
    for (let next = sequence; next < sequence + NEIGHBOURS; next++) {
      const stored = await streams.at(EVENTS_STREAM, next)
      if (stored !== undefined) return parseFrameHeader(stored.data).timeUs
    }
    return undefined
  }
  let from = 0
  let to = (await streams.info(EVENTS_STREAM))?.state.last_seq ?? 0
  while (from < to) {
    const middle = from + Math.ceil((to - from) / 2)
    const foundUs = await timeAt(middle)
    // What is gone is older than what is there.
    if (foundUs === undefined || foundUs < timeUs) from = middle
    else to = middle - 1
  }
  return from
}
