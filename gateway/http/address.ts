import type { IncomingMessage } from 'node:http'
import { BlockList, isIP } from 'node:net'

/** Where proxies of ours are: the machine itself and private networks. */
const PRIVATE = new BlockList()
for (const [network, prefix] of [
  ['127.0.0.0', 8],
  ['10.0.0.0', 8],
  ['172.16.0.0', 12],
  ['192.168.0.0', 16],
] as const) {
  PRIVATE.addSubnet(network, prefix, 'ipv4')
}
PRIVATE.addAddress('::1', 'ipv6')
PRIVATE.addSubnet('fc00::', 7, 'ipv6')

/** The client's address: what our own proxy wrote last into `X-Forwarded-For`, else whoever is connected. */
export function addressOf(request: IncomingMessage): string {
  const remote = plain(request.socket.remoteAddress ?? '')
  const forwarded = request.headers['x-forwarded-for']
  if (typeof forwarded !== 'string' || !isPrivate(remote)) return remote
  const last = plain(forwarded.slice(forwarded.lastIndexOf(',') + 1).trim())
  return isIP(last) === 0 ? remote : last
}

const plain = (address: string): string => (address.startsWith('::ffff:') ? address.slice(7) : address)

const isPrivate = (address: string): boolean =>
  isIP(address) === 4 ? PRIVATE.check(address, 'ipv4') : isIP(address) === 6 && PRIVATE.check(address, 'ipv6')
