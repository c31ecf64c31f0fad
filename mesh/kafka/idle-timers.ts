import assert from 'node:assert/strict'
import { createRequire } from 'node:module'

/**
 * kafkajs 2.2.4 sets a timer for requests that wait, also when none does: with a delay of −1 − now, on every connection, and
 * again whenever it fires. That is a thousand wake-ups a second each, and a warning of Node's at the first. Here the timer
 * is set when something waits.
 */
interface Queue {
  readonly pending: readonly unknown[]
  scheduleCheckPendingRequests(): void
}

const { prototype } = createRequire(import.meta.url)('kafkajs/src/network/requestQueue/index.js') as {
  readonly prototype: Queue
}
const schedule = prototype.scheduleCheckPendingRequests
assert.equal(typeof schedule, 'function', 'kafkajs is the version that this was written for')

prototype.scheduleCheckPendingRequests = function (this: Queue): void {
  if (this.pending.length > 0) schedule.call(this)
}
