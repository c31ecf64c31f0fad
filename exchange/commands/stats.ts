import { setTimeout as sleep } from 'node:timers/promises'
import type { StatsProgress } from '#mesh/protocol/stats.ts'
import { callRpc } from '#mesh/rpc.ts'
import { Rpc } from '#mesh/subjects.ts'
import type { Command } from '../command.ts'
import { duration } from '../table.ts'

/** Millions of rows take a while to remove. */
const EMPTY_MS_MAX = 600_000
const ANSWER_MS_MAX = 10_000
const LOOK_MS = 200

export const statsCommands: readonly Command[] = [
  {
    name: 'stats rebuild',
    arguments: [],
    options: {},
    summary: 'Write all statistics anew: candles, and what members traded by day.',
    help: `They are emptied, and written from the first frame of EVENTS on (with ARCHIVE_DIR from the archive), while the exchange goes on;
until it answers, candles over HTTP lack what is not written yet. Refused where the first frames are not to be had.`,
    example: 'stats rebuild',
    run: async (connections) => {
      const bus = await connections.bus()
      const beganAtMs = performance.now()
      const begun = await callRpc<StatsProgress>(bus, Rpc.statsRebuild, {}, EMPTY_MS_MAX)
      const ends = new Map(begun.slots.map(({ projection, slot, lastFrame }) => [`${projection} ${slot}`, lastFrame]))
      for (;;) {
        const { slots } = await callRpc<StatsProgress>(bus, Rpc.statsProgress, {}, ANSWER_MS_MAX)
        const isDone = slots.every((one) => one.frameSequence >= (ends.get(`${one.projection} ${one.slot}`) ?? 0))
        if (isDone) break
        await sleep(LOOK_MS)
      }
      const seconds = Math.round((performance.now() - beganAtMs) / 1_000)
      return { json: { slots: begun.slots, seconds }, text: `✔ Written anew in ${duration(seconds)}.` }
    },
  },
]
