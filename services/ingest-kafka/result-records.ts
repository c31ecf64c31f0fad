import type { Market } from '#mesh/edge/market.ts'
import type { Frame } from '#mesh/frames.ts'
import { resultOf } from '#mesh/ingest/results.ts'
import type { Outcome } from '#mesh/ingest/source.ts'
import type { RecordBlocks } from '#mesh/kafka/record-block.ts'
import { type RecordBatch, recordsOfSlot, type TopicRecords } from '#mesh/kafka/sink.ts'
import type { AccountEvent } from '#mesh/protocol/accounts.ts'
import { Origin } from '#mesh/protocol/common.ts'
import { Topic } from './topics.ts'

/** What the frames of an account slot say to those who sent by Kafka. */
export class ResultRecords implements RecordBatch<AccountEvent> {
  readonly told: { readonly outcome: Outcome }[] = []
  readonly #slot: number
  readonly #marketOf: (instrument: string) => Market | undefined
  readonly #records: RecordBlocks

  constructor(slot: number, marketOf: (instrument: string) => Market | undefined) {
    this.#slot = slot
    this.#marketOf = marketOf
    this.#records = recordsOfSlot(slot)
  }

  get rowsCount(): number {
    return this.#records.count
  }

  add({ events }: Frame<AccountEvent>): void {
    for (const event of events) {
      const result = resultOf(event, this.#slot, Origin.kafka, this.#marketOf)
      if (result === undefined) continue
      this.told.push({ outcome: result.outcome })
      this.#records.append(String(result.memberId), result.body)
    }
  }

  records(): TopicRecords {
    return this.#records.count === 0 ? new Map() : new Map([[Topic.results, this.#records]])
  }
}
