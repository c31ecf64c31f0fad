import { followDefinitions } from '#mesh/edge/definitions.ts'
import type { Market } from '#mesh/edge/market.ts'
import { privatePusherConfig } from '#mesh/push/config.ts'
import { isNameless, untilKnown } from '#mesh/push/known.ts'
import { runPrivatePusher } from '#mesh/push/private-slot.ts'
import { runService } from '#mesh/service.ts'
import { ensureStreams } from '#mesh/streams.ts'
import { fillText, orderText } from './domain/messages.ts'

await runService('push-orders', async (service) => {
  const config = privatePusherConfig(service.env)
  await ensureStreams(service.nats, config)
  const definitions = await followDefinitions(service.nats, () => {}, service.fail)
  service.onStop(() => definitions.stop())
  const marketOf = (instrument: string): Market => {
    const market = definitions.market(instrument)
    if (market === undefined) throw new Error(`The market ${instrument} is not defined.`)
    return market
  }
  await runPrivatePusher({
    service,
    name: 'push-orders',
    ...config,
    untilKnown: (event) => untilKnown(definitions, event),
    channels: {
      orders: (event) => (isNameless(event) ? undefined : orderText(event, marketOf)),
      fills: (event) => fillText(event, marketOf),
    },
  })
})
