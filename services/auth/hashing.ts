import { randomBytes, scrypt, timingSafeEqual } from 'node:crypto'
import { RpcError } from '#mesh/rpc.ts'

/** scrypt's N (as a power of two), r and p. */
export interface PasswordCost {
  readonly costLog2: number
  readonly blockSize: number
  readonly parallel: number
}

export interface StoredPassword extends PasswordCost {
  readonly hash: Buffer
  readonly salt: Buffer
}

export interface Hasher {
  /** @throws RpcError `auth_busy` when too many wait */
  hash(password: string): Promise<StoredPassword>
  /** Takes as long where there is nothing to compare with: then it is false. */
  matches(password: string, stored: StoredPassword | undefined): Promise<boolean>
  /** Whether a hash was made at another cost than is asked for now. */
  isOutdated(stored: StoredPassword): boolean
}

const HASH_BYTES = 32
const SALT_BYTES = 16
/** Those that wait for their turn, at most: at a quarter of a second each and two at once the last one waits 5 s. */
const WAITING_MAX = 40

/** Each hash takes a thread and 32 MB (at the default cost) for a quarter of a second, so few run at once. */
export function createHasher(cost: PasswordCost, atOnceMax: number): Hasher {
  const nobodys: StoredPassword = { ...cost, salt: randomBytes(SALT_BYTES), hash: randomBytes(HASH_BYTES) }
  const waiting: (() => void)[] = []
  let running = 0

  const inTurn = async (work: () => Promise<Buffer>): Promise<Buffer> => {
    if (running >= atOnceMax) {
      if (waiting.length >= WAITING_MAX) throw new RpcError('auth_busy', 'Too many passwords wait to be checked.')
      await new Promise<void>((resolve) => waiting.push(resolve))
    } else {
      running += 1
    }
    try {
      return await work()
    } finally {
      const next = waiting.shift()
      if (next === undefined) running -= 1
      else next()
    }
  }

  return {
    async hash(password) {
      const salt = randomBytes(SALT_BYTES)
      return { ...cost, salt, hash: await inTurn(() => derive(password, salt, cost)) }
    },
    async matches(password, stored) {
      const { salt, hash, ...storedCost } = stored ?? nobodys
      const derived = await inTurn(() => derive(password, salt, storedCost))
      return timingSafeEqual(derived, hash) && stored !== undefined
    },
    isOutdated: ({ costLog2, blockSize, parallel }) =>
      costLog2 !== cost.costLog2 || blockSize !== cost.blockSize || parallel !== cost.parallel,
  }
}

function derive(password: string, salt: Buffer, { costLog2, blockSize, parallel }: PasswordCost): Promise<Buffer> {
  const cost = 2 ** costLog2
  const maxmem = 128 * blockSize * (cost + parallel) * 2
  return new Promise((resolve, reject) => {
    // The same text typed on two keyboards may come as other code points.
    scrypt(
      password.normalize('NFKC'),
      salt,
      HASH_BYTES,
      { cost, blockSize, parallelization: parallel, maxmem },
      (error, key) => (error ? reject(error) : resolve(key)),
    )
  })
}
