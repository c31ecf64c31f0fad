import { createInbox, type NatsConnection } from '@nats-io/transport-node'
import type { Health } from './service.ts'
import { WHO_IS_THERE } from './subjects.ts'
import type { Sampling } from './telemetry/telemetry.ts'

/** What an instance says of itself to those who look after the exchange. */
export interface Presence {
  readonly service: string
  readonly instance: string
  readonly version: string
  readonly node: string
  readonly host: string
  readonly pid: number
  readonly startedAt: string
  /** Null: no endpoint for spans is configured. */
  readonly tracing: Sampling | null
  readonly load: Load
  readonly health: ReturnType<Health['report']>
}

/** What a process has used since it began: two looks tell what it uses now. Times in milliseconds. */
export interface Load {
  readonly upMs: number
  readonly cpuMs: number
  /** How long its event loop was at work. */
  readonly busyMs: number
  readonly rssBytes: number
}

export function loadOfProcess(): Load {
  const { user, system } = process.cpuUsage()
  return {
    upMs: Math.round(performance.now()),
    cpuMs: Math.round((user + system) / 1_000),
    busyMs: Math.round(performance.eventLoopUtilization().active),
    rssBytes: process.memoryUsage.rss(),
  }
}

export function answerPresence(nats: NatsConnection, presence: () => Presence): void {
  nats.subscribe(WHO_IS_THERE, {
    callback: (error, message) => {
      if (error === null) message.respond(JSON.stringify(presence()))
    },
  })
}

/** Everybody who answers within that time, by name. */
export async function askPresence(
  nats: NatsConnection & { readonly inboxPrefix?: string | undefined },
  waitMs: number,
): Promise<Presence[]> {
  const inbox = createInbox(nats.inboxPrefix)
  const found: Presence[] = []
  const answers = nats.subscribe(inbox, {
    callback: (error, message) => {
      if (error === null && message.data.length > 0) found.push(message.json<Presence>())
    },
  })
  nats.publish(WHO_IS_THERE, '', { reply: inbox })
  await new Promise((resolve) => setTimeout(resolve, waitMs))
  answers.unsubscribe()
  return found.sort((a, b) => (a.instance < b.instance ? -1 : 1))
}
