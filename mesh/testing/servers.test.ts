import assert from 'node:assert/strict'
import { existsSync } from 'node:fs'
import { jetstreamManager } from '@nats-io/jetstream'
import { connect, nanos } from '@nats-io/transport-node'
import { connect as connectAmqp } from 'amqplib'
import { Redis } from 'ioredis'
import { createConnection } from 'mysql2/promise'
import { startMariadb, startNats, startRabbitmq, startRedis } from './servers.ts'

describe('private servers for tests', function () {
  this.timeout(300_000)

  it('nats keeps its streams over a SIGKILL and a restart on the same port', async () => {
    await using nats = await startNats({ syncInterval: 'always' })
    const { url } = nats
    {
      const connection = await connect({ servers: url })
      assert.equal(connection.info?.max_payload, 8 * 1024 * 1024)
      const manager = await jetstreamManager(connection)
      await manager.streams.add({ name: 'LOG', subjects: ['log.>'], duplicate_window: nanos(1000) })
      await manager.jetstream().publish('log.a', 'first')
      await connection.close()
    }
    await nats.kill()
    assert.equal(nats.isRunning, false)
    await nats.restart()
    assert.equal(nats.url, url)
    const connection = await connect({ servers: url })
    const { state } = await (await jetstreamManager(connection)).streams.info('LOG')
    assert.equal(state.messages, 1)
    await connection.close()
  })

  it('nats takes more configuration', async () => {
    await using nats = await startNats({ extraConfig: 'authorization { token: "open sesame" }' })
    await assert.rejects(connect({ servers: nats.url, reconnect: false }), /[Aa]uthorization/)
    const connection = await connect({ servers: nats.url, token: 'open sesame' })
    await connection.close()
  })

  it('mariadb has the database, and keeps rows over a SIGKILL', async () => {
    await using mariadb = await startMariadb()
    {
      const connection = await createConnection(mariadb.url)
      await connection.query('CREATE TABLE greetings (greeting VARCHAR(20))')
      await connection.query("INSERT INTO greetings VALUES ('hello')")
      await connection.end()
    }
    await mariadb.kill()
    await mariadb.restart()
    const connection = await createConnection(mariadb.url)
    const [rows] = await connection.query('SELECT greeting FROM greetings')
    assert.deepEqual(rows, [{ greeting: 'hello' }])
    await connection.end()
  })

  it('redis answers', async () => {
    await using server = await startRedis()
    const redis = new Redis(server.url)
    assert.equal(await redis.set('key', 'value'), 'OK')
    redis.disconnect()
  })

  it('rabbitmq keeps messages over a SIGKILL and a restart on the same port', async () => {
    await using rabbitmq = await startRabbitmq()
    const { url } = rabbitmq
    {
      const connection = await connectAmqp(url)
      connection.on('error', () => {})
      const channel = await connection.createConfirmChannel()
      await channel.assertQueue('kept', { durable: true })
      channel.sendToQueue('kept', Buffer.from('hello'), { persistent: true })
      await channel.waitForConfirms()
    }
    await rabbitmq.kill()
    await rabbitmq.restart()
    assert.equal(rabbitmq.url, url)
    const connection = await connectAmqp(url)
    const channel = await connection.createChannel()
    const message = await channel.get('kept')
    assert(message && message.content.toString() === 'hello')
    await connection.close()
  })

  it('a stopped server leaves no data and no process', async () => {
    const redis = await startRedis()
    const { pid } = redis
    assert(pid)
    const directory = redis.spec.args[redis.spec.args.indexOf('--dir') + 1] ?? ''
    assert(existsSync(directory))
    await redis.stop()
    assert.equal(existsSync(directory), false)
    assert.throws(() => process.kill(pid, 0))
  })
})
