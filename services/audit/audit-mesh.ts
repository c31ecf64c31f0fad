import { jetstreamManager } from '@nats-io/jetstream'
import { attachArchive } from '#mesh/archive/attached.ts'
import { connectNats } from '#mesh/service.ts'
import { type LogCounts, LogsAudit } from './audit-logs.ts'
import { type RowCounts, RowsAudit } from './audit-rows.ts'
import type { AssetSums } from './domain/books-check.ts'
import { Difference } from './domain/difference.ts'
import { shapeOf } from './shape.ts'

export interface AuditOptions {
  readonly natsUrl: string
  /** Without it the rows are not looked at. */
  readonly mysqlUrl?: string | undefined
  /** Where the beginning of the streams lies, if they were trimmed. */
  readonly archiveDirectory?: string | undefined
  /** Items, and afterwards rows, a second, at most; 0 is no limit. */
  readonly rate: number
  /** How long is waited for a frame or for MySQL, in milliseconds. */
  readonly waitMs: number
  readonly onProgress?: (counts: LogCounts) => void
}

export interface AuditResult {
  readonly difference: Difference | undefined
  readonly accountSlots: number
  readonly marketSlots: number
  readonly logs: LogCounts
  /** What is there of each asset at the cut. Empty where the audit did not get so far. */
  readonly assets: readonly AssetSums[]
  readonly rows: RowCounts | undefined
  readonly seconds: number
}

/** Proves that the mesh is as its logs say, or finds the first difference. Reads only. */
export async function auditMesh(options: AuditOptions): Promise<AuditResult> {
  const beganMs = performance.now()
  const { natsUrl, mysqlUrl, archiveDirectory, rate, waitMs, onProgress = () => {} } = options
  const nats = await connectNats(natsUrl, 'audit')
  if (archiveDirectory !== undefined) attachArchive(nats, archiveDirectory)
  try {
    const shape = await shapeOf(await jetstreamManager(nats))
    let rowsAudit: RowsAudit | undefined
    await using logs = await LogsAudit.open({
      nats,
      shape,
      rate,
      waitMs,
      onAccountFrame: (slot, frame, sequence) => rowsAudit?.add(slot, frame, sequence),
      onProgress,
    })
    if (mysqlUrl !== undefined) rowsAudit = new RowsAudit({ nats, shape, mysqlUrl, rate, waitMs }, logs.markets)
    let assets: readonly AssetSums[] = []
    let rows: RowCounts | undefined
    let difference: Difference | undefined
    try {
      await logs.toCut()
      assets = logs.checkCut()
      rows = await rowsAudit?.compare(logs)
    } catch (error) {
      if (!(error instanceof Difference)) throw error
      difference = error
    }
    const seconds = (performance.now() - beganMs) / 1000
    return { difference, ...shape, logs: logs.counts(), assets, rows, seconds }
  } finally {
    await nats.close()
  }
}
