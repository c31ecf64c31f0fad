import { createCommandPublisher } from '#mesh/commands.ts'
import { createClock } from '#mesh/edge/clock.ts'
import { followDefinitions } from '#mesh/edge/definitions.ts'
import type { Market } from '#mesh/edge/market.ts'
import { createIds } from '#mesh/ids.ts'
import { counter } from '#mesh/metrics.ts'
import type { Origin } from '#mesh/protocol/common.ts'
import { decodeEvent } from '#mesh/protocol/compact.ts'
import type { Service } from '#mesh/service.ts'
import { ensureStreams, type MeshShape } from '#mesh/streams.ts'
import { Log } from '#mesh/subjects.ts'
import { decodeTraces } from '#mesh/telemetry/beside.ts'
import { type Batched, batchedEvent, type FrameTraces, recordBatch } from '#mesh/telemetry/frames.ts'
import { createTokenVerifier } from '#mesh/tokens.ts'
import { type Feed, runFeed } from './feed.ts'
import { createIngest } from './ingest.ts'
import { resultOf } from './results.ts'
import type { Ingest, Result } from './source.ts'

export interface StartedIngest {
  readonly ingest: Ingest
  /**
   * Begins to hand results on, in the order of each member's log. `publish` is fulfilled when the broker has confirmed them all;
   * a rejection (at once where the broker is away): they come again. Stop it while the broker is away, so that another
   * instance, which may have it, takes the slots over.
   */
  startResults(publish: (results: readonly Result[]) => Promise<void>): Promise<Feed>
  /** For a source with a feed of its own. */
  marketOf(instrument: string): Market | undefined
  countResults(told: readonly Pick<Result, 'outcome'>[]): void
}

const messages = counter('ingest_messages_total', 'Messages by what became of them; code where they were refused.', [
  'origin',
  'taken',
  'code',
])
const results = counter('ingest_results_total', 'Results that the broker has confirmed.', ['origin', 'outcome'])

const TOKENS_LOOK_MS = 200

/**
 * The core of an ingest service, on the service's connection. The environment's `TOKEN_ISSUER` and `TOKEN_AUDIENCE` are those of
 * the gateways. What it started ends with the service.
 */
export async function startIngest(
  service: Service,
  origin: Origin,
  {
    shape,
    token,
  }: { readonly shape: MeshShape; readonly token: { readonly issuer?: string; readonly audience?: string } },
): Promise<StartedIngest> {
  const { nats, log, telemetry } = service
  const { accountSlots, replicas } = shape
  await ensureStreams(nats, shape)
  const verifier = createTokenVerifier({ nats, log, ...token, ...(replicas === undefined ? {} : { replicas }) })
  const clock = createClock()
  service.ready('tokens', false)
  const looking = setInterval(() => service.ready('tokens', verifier.isReady()), TOKENS_LOOK_MS)
  service.onStop(() => {
    clearInterval(looking)
    clock.stop()
    verifier.close()
  })
  service.ready('definitions', false)
  const definitions = await new Promise<Awaited<ReturnType<typeof followDefinitions>>>((resolve, reject) => {
    const following = followDefinitions(
      nats,
      () => {
        service.ready('definitions', true)
        following.then(resolve, reject)
      },
      service.fail,
    )
    following.catch(reject)
  })
  service.onStop(() => definitions.stop())

  const ingest = createIngest({
    origin,
    bus: nats,
    accountSlots,
    publisher: createCommandPublisher(nats),
    nextId: createIds(nats).next,
    nowUs: clock.nowUs,
    verifier,
    marketOf: definitions.market,
    count: (taken) => {
      const code = taken.is === 'dead' ? taken.code : taken.is === 'rejected' ? taken.code : ''
      messages.inc({ origin, taken: taken.is, code })
    },
    onFailure: (error) => log.error({ err: error }, 'a message could not be handled'),
  })
  service.onStop(() => ingest.stop())

  const countResults = (told: readonly Pick<Result, 'outcome'>[]): void => {
    for (const { outcome } of told) results.inc({ origin, outcome })
  }
  return {
    ingest,
    marketOf: definitions.market,
    countResults,
    startResults: (publish) => {
      const name = `results-${origin}`
      return runFeed({
        bus: nats,
        log,
        instanceId: service.instanceId,
        ...(replicas === undefined ? {} : { replicas }),
        name,
        source: Log.accounts,
        slots: accountSlots,
        handle: (slot, frame, traces) => {
          const found = resultsOf(frame, slot, origin, definitions.market)
          if (found.length === 0) return undefined
          const told = found.map(({ result }) => result)
          const startUs = telemetry?.nowUs() ?? 0
          return publish(told).then(() => {
            countResults(told)
            if (telemetry === undefined || !traces) return
            const sampled = sampledOf(found, decodeTraces(traces), startUs)
            const attributes = { 'messaging.system': origin }
            if (sampled.length > 0) recordBatch(telemetry, `write ${name}`, sampled, { startUs, attributes })
          })
        },
      })
    },
  }
}

type ResultEvent = Parameters<typeof resultOf>[0]

/** A result, and its event with its place in the frame. */
interface Found {
  readonly result: Result
  readonly index: number
  readonly event: ResultEvent
}

/** Before the events of a frame. */
const FRAME_HEAD_LINES = 1

/**
 * The results in a frame, for this broker. Most frames of a mesh whose orders come over HTTP have none: only lines that name the
 * broker are parsed.
 */
function resultsOf(frame: Uint8Array, slot: number, origin: Origin, marketOf: Parameters<typeof resultOf>[3]): Found[] {
  // In whatever form its line is, and in few others.
  const mark = `"${origin}"`
  const bytes = Buffer.from(frame.buffer, frame.byteOffset, frame.byteLength)
  if (!bytes.includes(mark)) return []
  const found: Found[] = []
  const lines = bytes.toString().split('\n')
  for (let index = 0; index + FRAME_HEAD_LINES < lines.length; index++) {
    const line = lines[index + FRAME_HEAD_LINES]
    if (!line?.includes(mark)) continue
    const event = decodeEvent(JSON.parse(line)) as ResultEvent
    const result = resultOf(event, slot, origin, marketOf)
    if (result !== undefined) found.push({ result, index, event })
  }
  return found
}

function sampledOf(found: readonly Found[], traces: FrameTraces, readUs: number): Batched[] {
  return found.flatMap(({ index, event }) => {
    const parent = traces.get(index)
    return parent === undefined ? [] : [batchedEvent(event, parent, readUs)]
  })
}
