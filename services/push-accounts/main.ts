import { followDefinitions } from '#mesh/edge/definitions.ts'
import { privatePusherConfig } from '#mesh/push/config.ts'
import { untilKnown } from '#mesh/push/known.ts'
import { runPrivatePusher } from '#mesh/push/private-slot.ts'
import { runService } from '#mesh/service.ts'
import { ensureStreams } from '#mesh/streams.ts'
import { balanceText } from './domain/messages.ts'

await runService('push-accounts', async (service) => {
  const config = privatePusherConfig(service.env)
  await ensureStreams(service.nats, config)
  const definitions = await followDefinitions(service.nats, () => {}, service.fail)
  service.onStop(() => definitions.stop())
  const scaleOf = (asset: string): number => {
    const known = definitions.asset(asset)
    if (known === undefined) throw new Error(`The asset ${asset} is not defined.`)
    return known.scale
  }
  await runPrivatePusher({
    service,
    name: 'push-accounts',
    ...config,
    untilKnown: (event) => untilKnown(definitions, event),
    channels: { balances: (event) => balanceText(event, scaleOf) },
  })
})
