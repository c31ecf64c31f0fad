import assert from 'node:assert/strict'
import { eventually } from '../../test/support/eventually.ts'
import { Pace, type Sink, Topic } from './topic.ts'

/** A number that grows; clients keep adding what they are told. */
class Counter {
  value = 0
  told = 0
  isKnown = true
  snapshot() {
    return this.isKnown ? { version: this.told, text: `=${this.told}` } : undefined
  }
  news() {
    if (this.value === this.told) return undefined
    const from = this.told
    this.told = this.value
    return { from, to: this.told, text: `+${this.told - from}` }
  }
}

class Client implements Sink {
  isFull = false
  isOpen = true
  value = Number.NaN
  readonly messages: string[] = []
  send(message: Buffer): void {
    const text = message.toString()
    this.messages.push(text)
    this.value = text.startsWith('=') ? Number(text.slice(1)) : this.value + Number(text)
  }
}

describe('a topic', () => {
  it('gives everything first, then what is new, several changes as one', async () => {
    const counter = new Counter()
    const topic = new Topic(counter, new Pace())
    const client = new Client()
    topic.add(client)
    for (let step = 0; step < 10; step++) {
      counter.value += 1
      topic.touch()
    }
    await eventually(() => assert.equal(client.value, 10))
    assert.deepEqual(client.messages, ['=0', '+10'])
    topic.close()
  })

  it('leaves out who has no room, and gives him everything anew when he has: never a change that does not follow', async () => {
    const counter = new Counter()
    const topic = new Topic(counter, new Pace())
    const [fast, slow] = [new Client(), new Client()]
    topic.add(fast)
    topic.add(slow)
    slow.isFull = true
    counter.value = 3
    topic.touch()
    await eventually(() => assert.equal(fast.value, 3))
    counter.value = 5
    topic.touch()
    await eventually(() => assert.equal(fast.value, 5))
    assert.deepEqual(slow.messages, ['=0'])
    slow.isFull = false
    await eventually(() => assert.equal(slow.value, 5))
    assert.deepEqual(slow.messages, ['=0', '=5'])
    counter.value = 6
    topic.touch()
    await eventually(() => assert.deepEqual([fast.value, slow.value], [6, 6]))
    topic.close()
  })

  it('tells who came before anything was known', async () => {
    const counter = new Counter()
    counter.isKnown = false
    const topic = new Topic(counter, new Pace())
    const client = new Client()
    topic.add(client)
    assert.deepEqual(client.messages, [])
    counter.isKnown = true
    topic.ready()
    assert.deepEqual(client.messages, ['=0'])
    topic.close()
  })

  it('tells thousands in turns, those who come and go meanwhile too', async () => {
    const counter = new Counter()
    const topic = new Topic(counter, new Pace())
    const clients = Array.from({ length: 3_000 }, () => new Client())
    for (const client of clients) topic.add(client)
    counter.value = 1
    topic.touch()
    await new Promise((resolve) => setTimeout(resolve, 1))
    const late = new Client()
    topic.add(late)
    const gone = clients.pop()
    if (gone !== undefined) topic.delete(gone)
    for (let step = 0; step < 20; step++) {
      counter.value += 1
      topic.touch()
      await new Promise((resolve) => setImmediate(resolve))
    }
    await eventually(() => {
      for (const client of [...clients, late]) assert.equal(client.value, 21)
    })
    topic.close()
  })

  it('tells of several topics in one turn those who follow them all', async () => {
    const pace = new Pace()
    const counters = [new Counter(), new Counter()]
    const topics = counters.map((counter) => new Topic(counter, pace))
    const turns: string[] = []
    let turn = 0
    const clients = Array.from({ length: 1_200 }, (_, client) =>
      counters.map((_, topic) => {
        const told = { isFull: false, isOpen: true, send: () => void turns.push(`${client} ${turn}`) }
        topics[topic]?.add(told)
        return told
      }),
    )
    assert.equal(turns.length, 2 * clients.length)
    turns.length = 0
    for (const counter of counters) counter.value = 1
    for (const topic of topics) topic.touch()
    const turning = setInterval(() => turn++, 0)
    await eventually(() => assert.equal(turns.length, 2 * clients.length))
    clearInterval(turning)
    assert.equal(new Set(turns).size, clients.length)
    for (const topic of topics) topic.close()
  })
})
