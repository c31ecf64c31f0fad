import type { Market } from '#mesh/edge/market.ts'
import type { Frame } from '#mesh/frames.ts'
import { resultOf } from '#mesh/ingest/results.ts'
import type { Outcome } from '#mesh/ingest/source.ts'
import type { KafkaRecord, RecordBatch } from '#mesh/kafka/sink.ts'
import type { AccountEvent } from '#mesh/protocol/accounts.ts'
import { Origin } from '#mesh/protocol/common.ts'
import { Topic } from './topics.ts'

/** What the frames of an account slot say to those who sent by Kafka. */
export class ResultRecords implements RecordBatch<AccountEvent> {
  readonly told: { readonly outcome: Outcome }[] = []
  readonly #slot: number
  readonly #marketOf: (instrument: string) => Market | undefined
  readonly #records: KafkaRecord[] = []

  constructor(slot: number, marketOf: (instrument: string) => Market | undefined) {
    this.#slot = slot
    this.#marketOf = marketOf
  }

  get rowsCount(): number {
    return this.#records.length
  }

  add({ events }: Frame<AccountEvent>): void {
    for (const event of events) {
      const result = resultOf(event, this.#slot, Origin.kafka, this.#marketOf)
      if (result === undefined) continue
      this.told.push({ outcome: result.outcome })
      this.#records.push({ key: String(result.memberId), value: Buffer.from(result.body) })
    }
  }

  records(): ReadonlyMap<string, readonly KafkaRecord[]> {
    return this.#records.length === 0 ? new Map() : new Map([[Topic.results, this.#records]])
  }
}
