import { statfs } from 'node:fs/promises'
import type { Logger } from 'pino'

export interface DiskRules {
  /** Folders on the disks that the exchange writes to, where this process can see them. */
  readonly folders: readonly string[]
  /** The monitoring addresses of the nats-servers, which say how much JetStream may still store. */
  readonly natsMonitorUrls: readonly string[]
  /** With less room than this no new order is taken. */
  readonly freeBytesMin: number
}

/** Knows whether there is room for what new orders would write. */
export interface Disks {
  readonly areFull: boolean
  stop(): void
}

const LOOK_MS = 1_000
const ANSWER_MS_MAX = 1_000
/** It takes somewhat more room to take orders again than it took to refuse them. */
const HEALED_FACTOR = 1.1

/** Looks every second at the disk with the least room. What cannot be asked is left out, which is no reason to refuse. */
export function watchDisks({ folders, natsMonitorUrls, freeBytesMin }: DiskRules, log: Logger): Disks {
  let areFull = false
  const questions = [
    ...folders.map((folder) => ({ where: folder, ask: () => freeInFolder(folder) })),
    ...natsMonitorUrls.map((url) => ({ where: url, ask: () => freeInJetStream(url) })),
  ]
  const unknown = new Set<string>()
  const roomAt = async ({ where, ask }: (typeof questions)[number]): Promise<{ where: string; freeBytes: number }> => {
    try {
      const freeBytes = await ask()
      unknown.delete(where)
      return { where, freeBytes }
    } catch (err) {
      if (!unknown.has(where)) log.warn({ err, where }, 'how much room is left is not known')
      unknown.add(where)
      return { where, freeBytes: Number.POSITIVE_INFINITY }
    }
  }
  const look = async (): Promise<void> => {
    const rooms = await Promise.all(questions.map(roomAt))
    const least = rooms.reduce((a, b) => (b.freeBytes < a.freeBytes ? b : a))
    const isFull = least.freeBytes < (areFull ? freeBytesMin * HEALED_FACTOR : freeBytesMin)
    if (isFull === areFull) return
    areFull = isFull
    if (isFull) log.error({ ...least, freeBytesMin }, 'a disk is nearly full: no new orders until there is room')
    else log.info(least, 'there is room again: new orders are taken')
  }
  let timer: NodeJS.Timeout | undefined
  let isStopped = false
  const lookOn = async (): Promise<void> => {
    await look()
    if (!isStopped) timer = setTimeout(() => void lookOn(), LOOK_MS)
  }
  if (questions.length > 0) void lookOn()
  return {
    get areFull() {
      return areFull
    },
    stop: () => {
      isStopped = true
      clearTimeout(timer)
    },
  }
}

async function freeInFolder(folder: string): Promise<number> {
  const { bavail, bsize } = await statfs(folder)
  return bavail * bsize
}

async function freeInJetStream(url: string): Promise<number> {
  const response = await fetch(`${url}/jsz`, { signal: AbortSignal.timeout(ANSWER_MS_MAX) })
  const { config, storage } = (await response.json()) as { config?: { max_storage?: number }; storage?: number }
  const limit = config?.max_storage ?? 0
  return limit > 0 ? limit - (storage ?? 0) : Number.POSITIVE_INFINITY
}
