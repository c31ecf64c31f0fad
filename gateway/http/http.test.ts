import assert from 'node:assert/strict'
import { IncomingMessage } from 'node:http'
import { Socket } from 'node:net'
import { addressOf } from './address.ts'
import { createRequestIds } from './request-id.ts'

describe('request ids', () => {
  const idOf = createRequestIds('gateway-7')
  it('are the client’s own where they are sane', () => {
    assert.equal(idOf('mine-1:2.3_4'), 'mine-1:2.3_4')
  })
  for (const sent of [undefined, '', 'a b', 'a\nb', 'ü', 'x'.repeat(65), ['a', 'b']]) {
    it(`are made up instead of ${JSON.stringify(sent)}`, () =>
      assert.match(idOf(sent), /^gateway-7-[0-9a-z]+-[0-9a-z]+$/))
  }
  it('differ', () => assert.notEqual(idOf(undefined), idOf(undefined)))
})

describe('the client’s address', () => {
  const requestFrom = (remoteAddress: string, forwarded?: string): IncomingMessage => {
    const socket = new Socket()
    Object.defineProperty(socket, 'remoteAddress', { value: remoteAddress })
    const request = new IncomingMessage(socket)
    if (forwarded !== undefined) request.headers['x-forwarded-for'] = forwarded
    return request
  }
  const table: [remote: string, forwarded: string | undefined, address: string][] = [
    ['203.0.113.9', undefined, '203.0.113.9'],
    ['203.0.113.9', '198.51.100.1', '203.0.113.9'],
    ['127.0.0.1', '198.51.100.1', '198.51.100.1'],
    ['::ffff:172.18.0.4', '198.51.100.1', '198.51.100.1'],
    ['127.0.0.1', 'made up, 198.51.100.1', '198.51.100.1'],
    ['127.0.0.1', '198.51.100.1, made up', '127.0.0.1'],
    ['fd00::1', '2001:db8::1', '2001:db8::1'],
    ['2001:db8::2', '2001:db8::1', '2001:db8::2'],
  ]
  for (const [remote, forwarded, address] of table) {
    it(`${remote} with ${forwarded}: ${address}`, () =>
      assert.equal(addressOf(requestFrom(remote, forwarded)), address))
  }
})
