import type { Market } from '#mesh/edge/market.ts'
import { formatTime } from '#mesh/edge/time.ts'
import type { Frame, Position } from '#mesh/frames.ts'
import type { RecordBlocks } from '#mesh/kafka/record-block.ts'
import { type RecordBatch, recordsOfSlot, type TopicRecords } from '#mesh/kafka/sink.ts'
import type { AssetDefinition } from '#mesh/protocol/definitions.ts'
import type { Topic } from './topics.ts'

/** Scales of assets and steps of markets. They never change. */
export interface Scales {
  market(instrument: string): Market | undefined
  asset(asset: string): AssetDefinition | undefined
}

/** Definitions are read beside the frames, and may be a moment behind: the frame is to be read again. */
export class NotDefinedYet extends Error {
  override readonly name = 'NotDefinedYet'
  readonly code = 'not_defined_yet'
}

export function marketOf(scales: Scales, instrument: string): Market {
  const market = scales.market(instrument)
  if (market === undefined) throw new NotDefinedYet(`The market ${instrument} is not known yet.`)
  return market
}

export function scaleOf(scales: Scales, name: string): number {
  const asset = scales.asset(name)
  if (asset === undefined) throw new NotDefinedYet(`The asset ${name} is not known yet.`)
  return asset.scale
}

export interface WrittenEvent {
  readonly topic: Topic
  readonly key: string
  readonly type: string
  /** More members of the JSON object, as they are. */
  readonly members: string
}

/** Where and when an event happened, and what it becomes. */
export class EventRecords<Event extends { readonly type: string }> implements RecordBatch<Event> {
  readonly #slot: number
  readonly #write: (event: Event & { readonly position: Position }) => readonly WrittenEvent[]
  readonly #records = new Map<Topic, RecordBlocks>()
  #count = 0

  constructor(slot: number, write: (event: Event & { readonly position: Position }) => readonly WrittenEvent[]) {
    this.#slot = slot
    this.#write = write
  }

  get rowsCount(): number {
    return this.#count
  }

  /** @throws NotDefinedYet */
  add({ header, events }: Frame<Event>): void {
    const time = formatTime(header.timeUs)
    for (const event of events) {
      const place = `"slot":${this.#slot},"position":"${positionText(event.position)}","time":"${time}"`
      for (const { topic, key, type, members } of this.#write(event)) {
        this.#recordsOf(topic).append(key, `{"version":1,"type":"${type}",${place},${members}}`)
        this.#count += 1
      }
    }
  }

  records(): TopicRecords {
    return this.#records
  }

  #recordsOf(topic: Topic): RecordBlocks {
    const found = this.#records.get(topic)
    if (found !== undefined) return found
    const records = recordsOfSlot(this.#slot)
    this.#records.set(topic, records)
    return records
  }
}

const positionText = ([sequence, item, event]: Position): string => `${sequence}-${item}-${event}`
