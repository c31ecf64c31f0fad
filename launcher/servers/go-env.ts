import { availableParallelism } from 'node:os'

/**
 * The environment of a server that is written in Go and shares the machine with all the others: threads for half of the cores, unless
 * GOMAXPROCS says otherwise. On all of them its scheduler wakes another thread for nearly every message, a fifth of what
 * nats-server uses on two cores.
 */
export const goEnv = (): NodeJS.ProcessEnv => ({
  GOMAXPROCS: String(Math.max(1, Math.floor(availableParallelism() / 2))),
  ...process.env,
})
