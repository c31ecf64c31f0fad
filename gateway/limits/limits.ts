import type { Kind } from '../http/endpoint.ts'
import type { BucketRule, Buckets } from './buckets.ts'
import { createBuckets } from './buckets.ts'

export interface LimitRules {
  readonly trade: BucketRule
  readonly read: BucketRule
  readonly address: BucketRule
  readonly login: BucketRule
}

/** How much each member and each address may ask. */
export interface Limits {
  /** Takes one request of this kind: 0, or the seconds after which there is room for one. */
  take(kind: Kind, memberId: number, address: string): number
  readonly shared: readonly { readonly name: string; readonly rule: BucketRule; readonly buckets: Buckets }[]
}

export function createLimits(rules: LimitRules): Limits {
  const trade = createBuckets(rules.trade)
  const read = createBuckets(rules.read)
  const address = createBuckets(rules.address)
  const login = createBuckets(rules.login)
  return {
    take: (kind, memberId, from) => {
      switch (kind) {
        case 'order':
        case 'cancel':
        case 'admin':
          return trade.take(memberId)
        case 'read':
          return read.take(memberId)
        case 'public':
          return address.take(from)
        case 'login':
          return login.take(memberId === 0 ? from : memberId)
      }
    },
    shared: [
      { name: 'trade', rule: rules.trade, buckets: trade },
      { name: 'read', rule: rules.read, buckets: read },
      { name: 'address', rule: rules.address, buckets: address },
      { name: 'login', rule: rules.login, buckets: login },
    ],
  }
}
