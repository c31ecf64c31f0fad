import type { AskedBy } from '#mesh/protocol/accounts.ts'

/** The words, with whose answer they are where the command came through a broker. Most have none, and stay as they are. */
export function withAsker<Words extends object>(words: Words, { origin, requestId }: AskedBy): Words & AskedBy {
  if (origin === undefined && requestId === undefined) return words
  return {
    ...words,
    ...(origin === undefined ? undefined : { origin }),
    ...(requestId === undefined ? undefined : { requestId }),
  }
}
