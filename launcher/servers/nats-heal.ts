import { statfs } from 'node:fs/promises'
import type { NatsServer } from './nats.ts'

const lookMs = 1_000
const answerMsMax = 1_000
/** So many looks in a row say so before it is believed. */
const looksMin = 3
const freeBytesMin = 64 * 1024 ** 2

/**
 * A nats-server that once could not write for want of room refuses everything until it starts anew, also when there is room
 * again. This ends it then; whoever watches it starts it again, and nothing that was acknowledged is gone.
 */
export function healWhenThereIsRoom(server: NatsServer, directory: string, say: (line: string) => void): () => void {
  let looks = 0
  const look = async (): Promise<void> => {
    looks = (await cannotWrite(server.monitorUrl)) ? looks + 1 : 0
    if (looks < looksMin || !server.isRunning) return
    const { bavail, bsize } = await statfs(directory)
    if (bavail * bsize < freeBytesMin) {
      if (looks === looksMin) say('its disk is full: nothing is taken until there is room')
      return
    }
    looks = 0
    say('its disk was full, and there is room again: it starts anew')
    await server.stop()
  }
  const timer = setInterval(() => void look().catch(() => {}), lookMs)
  return () => clearInterval(timer)
}

async function cannotWrite(monitorUrl: string): Promise<boolean> {
  try {
    const response = await fetch(`${monitorUrl}/healthz`, { signal: AbortSignal.timeout(answerMsMax) })
    const { error } = (await response.json()) as { error?: string }
    return /write error|no space left|out of resources/i.test(error ?? '')
  } catch {
    return false
  }
}
