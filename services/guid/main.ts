import { checked } from '#mesh/checked.ts'
import { BlockRequest } from '#mesh/protocol/guid.ts'
import { serveRpc } from '#mesh/rpc.ts'
import { runService } from '#mesh/service.ts'
import { Rpc } from '#mesh/subjects.ts'
import { createAllocator, risingClock } from './allocator.ts'
import { envToConfig } from './config.ts'

await runService('guid', async ({ env, nats, log }) => {
  const { replicas } = envToConfig(env)
  const allocator = createAllocator({ nats, log, replicas, clock: risingClock(), salt: Math.random() })
  await allocator.warmUp()
  const parse = checked(BlockRequest)
  serveRpc(
    nats,
    Rpc.guidBlock,
    'guid',
    async (request) => allocator.block(parse(request).count),
    (err) => log.error({ err }, 'a request failed'),
  )
})
