/** What the rules on signing keys look at. Times are milliseconds since 1970. */
export interface KeyTimes {
  readonly id: string
  readonly createdAtMs: number
  /** It signs from then on, until a later one does. */
  readonly usedFromMs: number
  /** When the last long-lived token that it signed expires. */
  readonly tokensUntilMs: number
}

/** Longest life of a token whose expiry is not written down with its key: a day, and an hour for clocks and slow instances. */
export const SHORT_TOKEN_MS_MAX = 86_400_000
const SLACK_MS = 3_600_000

/** The key that signs now: the one whose use began last. All instances come to the same, within their clocks' difference. */
export function signingKey<Key extends KeyTimes>(keys: readonly Key[], nowMs: number): Key | undefined {
  return keys.filter((key) => key.usedFromMs <= nowMs).reduce<Key | undefined>(later, undefined)
}

/** Whether the newest key has had its time and a new one is to be made. */
export function isRotationDue(keys: readonly KeyTimes[], nowMs: number, keyMs: number): boolean {
  const newest = keys.reduce<KeyTimes | undefined>(later, undefined)
  return newest === undefined || nowMs - newest.createdAtMs >= keyMs
}

/** Keys by which no token can be good any more: another one has signed for long enough. */
export function expiredKeys<Key extends KeyTimes>(keys: readonly Key[], nowMs: number): Key[] {
  return keys.filter((key) => {
    const successors = keys.filter((other) => later(key, other) === other && other !== key)
    const retiredAtMs = Math.min(...successors.map((other) => other.usedFromMs))
    return nowMs > retiredAtMs + SHORT_TOKEN_MS_MAX + SLACK_MS && nowMs > key.tokensUntilMs + SLACK_MS
  })
}

function later<Key extends KeyTimes>(a: Key | undefined, b: Key): Key {
  if (a === undefined) return b
  if (a.usedFromMs !== b.usedFromMs) return a.usedFromMs > b.usedFromMs ? a : b
  return a.id > b.id ? a : b
}
