import { jetstreamManager } from '@nats-io/jetstream'
import { connectNats } from '#mesh/service.ts'
import { startNats } from '#mesh/testing/servers.ts'
import { itKeepsTheContract, type WithBus } from './bus-contract.ts'
import { SimulatedProcess } from './process.ts'
import { Random } from './random.ts'
import { SimulatedServer } from './server.ts'
import { World } from './world.ts'

const onRealServer: WithBus = async (test) => {
  const server = await startNats()
  const bus = await connectNats(server.url, 'one')
  const other = await connectNats(server.url, 'two')
  try {
    await test({
      bus,
      other,
      kill: async () => server.kill(),
      start: async () => void (await server.start()),
      purge: async (stream, subject) => {
        await (await jetstreamManager(bus)).streams.purge(stream, { filter: subject })
      },
    })
  } finally {
    await Promise.all([bus.close(), other.close()])
    await server.stop()
  }
}

const onSimulatedServer: WithBus = async (test) => {
  for (let seed = 1; seed <= 5; seed++) {
    const world = new World(seed)
    const server = new SimulatedServer(world, new Random(seed))
    const [one, two] = ['one', 'two'].map((name) => new SimulatedProcess(world, server, name, world.random.fork()))
    if (one === undefined || two === undefined) throw new Error('There are two.')
    const under = {
      bus: one.bus,
      other: two.bus,
      kill: async () => server.crash(new Map()),
      start: async () => server.restart(),
      purge: async (stream: string, subject: string) => server.stream(stream).purge(subject),
    }
    await world.run(test(under))
  }
}

describe('the contract of the bus', function () {
  this.timeout(60_000)

  describe('on a real nats-server', () => itKeepsTheContract(onRealServer))
  describe('on the simulated one', () => itKeepsTheContract(onSimulatedServer))
})
