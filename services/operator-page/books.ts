import type { NatsConnection } from '@nats-io/transport-node'
import type { Logger } from 'pino'
import type { Definitions } from '#mesh/edge/definitions.ts'
import { gauge } from '#mesh/metrics.ts'
import { callRpc } from '#mesh/rpc.ts'
import type { MeshShape } from '#mesh/streams.ts'
import { Log, slotReadSubject } from '#mesh/subjects.ts'
import { booksOf, differencesOf, type SlotTotals } from './domain/books.ts'
import type { Book } from './domain/state.ts'

/** The double entry of every account slot, asked of its owner: every half minute, and whenever somebody looks. */
export interface Books {
  look(): Promise<Book[]>
  stop(): void
}

const ANSWER_MS_MAX = 3_000
const MEASURE_MS = 30_000

const difference = gauge(
  'exchange_books_difference',
  'Minor units by which the books of an account slot do not sum to zero; 0, or money came from nowhere or is lost.',
  ['slot', 'asset'],
)

export function createBooks(nats: NatsConnection, shape: MeshShape, definitions: Definitions, log: Logger): Books {
  const slots = Array.from({ length: shape.accountSlots }, (_, slot) => slot)
  /** A slot without an owner is left out: that is told elsewhere. */
  const ask = async (): Promise<SlotTotals[]> => {
    const answers = await Promise.allSettled(
      slots.map((slot) =>
        callRpc<SlotTotals>(nats, slotReadSubject(Log.accounts, slot), { read: 'totals' }, ANSWER_MS_MAX),
      ),
    )
    const found = answers.flatMap((answer) => (answer.status === 'fulfilled' ? [answer.value] : []))
    for (const totals of found) {
      for (const [asset, minor] of differencesOf(totals)) {
        difference.set({ slot: totals.slot, asset }, Number(minor))
        if (minor === 0n) continue
        const details = { slot: totals.slot, asset, minor: String(minor) }
        log.error({ alarm: true, code: 'books_differ', details }, 'the books of a slot do not sum to zero')
      }
    }
    return found
  }
  const measuring = setInterval(() => void ask(), MEASURE_MS)
  void ask()
  return {
    look: async () => booksOf(await ask(), (asset) => definitions.asset(asset)?.scale ?? 0),
    stop: () => clearInterval(measuring),
  }
}
