import { wholeNumber } from '../../config.ts'

export interface SnapshotConfig {
  /** Where they are written first, and read from; shared by the instances of a machine that has several. */
  readonly directory: string
  /** Read where the logs were trimmed. */
  readonly archiveDirectory: string | undefined
  /** A slot's next one is due after so many items, or so many seconds in which there were any. */
  readonly everyItems: number
  readonly everySeconds: number
  /** Per slot. */
  readonly kept: number
  /** How fast one goes into the object store. */
  readonly uploadBytesPerSecond: number
}

/**
 * `SNAPSHOT_DIR`: without it there are none. `SNAPSHOT_ITEMS` (default 20 000), `SNAPSHOT_SECONDS` (3600), `SNAPSHOTS_KEPT` (2),
 * `SNAPSHOT_UPLOAD_BYTES` per second (4 000 000).
 * @throws ConfigError
 */
export function snapshotConfig(env: Readonly<Record<string, string | undefined>>): SnapshotConfig | undefined {
  const number = (name: string, standard: number, min: number, max: number): number =>
    wholeNumber(name, env[name] || String(standard), min, max)
  const settings = {
    archiveDirectory: env.ARCHIVE_DIR || undefined,
    everyItems: number('SNAPSHOT_ITEMS', 20_000, 1, 1_000_000_000),
    everySeconds: number('SNAPSHOT_SECONDS', 3_600, 1, 31_536_000),
    kept: number('SNAPSHOTS_KEPT', 2, 1, 100),
    uploadBytesPerSecond: number('SNAPSHOT_UPLOAD_BYTES', 4_000_000, 100_000, 10_000_000_000),
  }
  return env.SNAPSHOT_DIR ? { directory: env.SNAPSHOT_DIR, ...settings } : undefined
}
