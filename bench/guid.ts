import { spawn } from 'node:child_process'
import { availableParallelism } from 'node:os'
import { createIds } from '#mesh/ids.ts'
import { connectNats } from '#mesh/service.ts'
import { startNats } from '#mesh/testing/servers.ts'

/** Ids a second from one instance of guid, in a process of its own, to one client that takes them one by one. */
const SECONDS = 5

const server = await startNats()
const main = new URL('../services/guid/main.ts', import.meta.url).pathname
const guid = spawn(process.execPath, [main], { env: { ...process.env, NATS_URL: server.url, LOG_LEVEL: 'warn' } })
const nats = await connectNats(server.url, 'bench')
const ids = createIds(nats)
await ids.nextMany(1)

let count = 0
let waited = 0
let last = 0
let fallen = 0
const startedMs = performance.now()
const cpuBefore = process.cpuUsage()
while (performance.now() - startedMs < SECONDS * 1000) {
  for (let index = 0; index < 1000; index++) {
    let id = ids.next()
    if (typeof id !== 'number') {
      id = await id
      waited += 1
    }
    if (id < last) fallen += 1
    last = id
  }
  count += 1000
  // A turn of the event loop, as a service that takes orders has one every few ids.
  await new Promise(setImmediate)
}
const seconds = (performance.now() - startedMs) / 1000
const cpu = process.cpuUsage(cpuBefore)
const idsPerSecond = Math.round(count / seconds)
const clientNanosPerId = Math.round(((cpu.user + cpu.system) * 1000) / count)

console.log('one guid instance, one client, ids one by one')
console.log(`  ids a second          ${idsPerSecond}`)
console.log(`  client's CPU per id   ${clientNanosPerId} ns`)
console.log(`  ids waited for        ${waited} of ${count}`)
console.log(`  lower than the last   ${fallen}`)
console.log(
  JSON.stringify({
    bench: 'guid',
    cores: availableParallelism(),
    settings: { seconds: SECONDS, instances: 1 },
    result: { idsPerSecond, clientNanosPerId, waited, fallen },
  }),
)
await nats.close()
guid.kill('SIGTERM')
await server.stop()
