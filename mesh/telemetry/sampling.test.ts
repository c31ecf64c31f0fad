import assert from 'node:assert/strict'
import pino from 'pino'
import { openBucket } from '#mesh/buckets.ts'
import { connectNats } from '#mesh/service.ts'
import { Bucket } from '#mesh/subjects.ts'
import { startNats } from '#mesh/testing/servers.ts'
import { followSampling, parseSampling, writeSampling } from './sampling.ts'
import type { Sampling } from './telemetry.ts'

describe('how much is traced', () => {
  it('is off, or a share from 0 to 1', () => {
    const texts = ['off', '0', '0.01', '1', '1.0', '', 'on', '1.1', '-0.1', '.5', '1e-3', '0.1234567', 'NaN']
    assert.deepEqual(texts.map(parseSampling), ['off', 0, 0.01, 1, 1, ...Array(8).fill(undefined)])
  })

  it('is what an operator says, at once and for who comes later; else what is configured', async () => {
    const server = await startNats({ syncInterval: '2m' })
    const nats = await connectNats(server.url, 'test')
    const log = pino({ level: 'silent' })
    const follower = (sampling: Sampling): { sampling: Sampling } => {
      const telemetry = { sampling }
      followSampling(nats, telemetry, log)
      return telemetry
    }
    const first = follower(0.01)
    const until = async (telemetry: { sampling: Sampling }, sampling: Sampling): Promise<void> => {
      for (let tries = 0; telemetry.sampling !== sampling && tries < 200; tries++) {
        await new Promise((resolve) => setTimeout(resolve, 20))
      }
      assert.equal(telemetry.sampling, sampling)
    }
    await writeSampling(nats, 'off')
    await until(first, 'off')
    const second = follower(0.5)
    await until(second, 'off')
    await writeSampling(nats, 0.25)
    await until(first, 0.25)
    await until(second, 0.25)
    // What nobody can read is as if nothing were said.
    await (await openBucket(nats, Bucket.tracing)).put('sampling', 'a lot')
    await until(first, 0.01)
    await writeSampling(nats, 1)
    await until(first, 1)
    await writeSampling(nats, undefined)
    await until(first, 0.01)
    await until(second, 0.5)
    await nats.close()
    await server.stop()
  })
})
