import { setTimeout as sleep } from 'node:timers/promises'
import { followFrames } from '#mesh/frames.ts'
import type { DefinitionEvent } from '#mesh/protocol/definitions.ts'
import type { Service } from '#mesh/service.ts'
import { DEFINITIONS_SLOT, Log } from '#mesh/subjects.ts'
import type { MarketTerms } from './domain/rows.ts'

const RETRY_MS = 500

/** What never changes of the markets, read from the definitions' frames from the first on, and followed. */
export function followMarkets(service: Service): (instrument: string) => MarketTerms | undefined {
  const markets = new Map<string, MarketTerms>()
  const onEvent = (event: DefinitionEvent): void => {
    if (event.type !== 'MarketDefined') return
    const { instrument, base, quote, baseMinorPerLot } = event.market
    markets.set(instrument, { base, quote, baseMinorPerLot: BigInt(baseMinorPerLot) })
  }
  void (async () => {
    let after = 0
    while (!service.shutdown.aborted) {
      try {
        const { nats } = service
        const reader = await followFrames<DefinitionEvent>(
          nats,
          Log.definitions,
          DEFINITIONS_SLOT,
          after,
          (frame, at) => {
            for (const event of frame.events) onEvent(event)
            after = at
          },
        )
        service.shutdown.addEventListener('abort', () => void reader.stop(), { once: true })
        await reader.done
      } catch (error) {
        service.log.warn({ err: error }, 'definitions are read again')
      }
      await sleep(RETRY_MS, undefined, { signal: service.shutdown }).catch(() => {})
    }
  })()
  return (instrument) => markets.get(instrument)
}
