import { ConfigError, replicasFromEnv, wholeNumber } from '#mesh/config.ts'
import { type SnapshotConfig, snapshotConfig } from '#mesh/machine/snapshots/config.ts'

export interface ArchiveConfig {
  readonly directory: string
  readonly replicas: number
  readonly everySeconds: number
  readonly afterSeconds: number
  readonly segmentBytes: number
  /** Nothing: the streams keep everything. */
  readonly trim:
    | { readonly afterSeconds: number; readonly mysqlUrl: string | undefined; readonly snapshots: SnapshotConfig }
    | undefined
}

/**
 * `ARCHIVE_DIR`; `ARCHIVE_EVERY_SECONDS` (default 600), `ARCHIVE_AFTER_SECONDS` (600), `ARCHIVE_SEGMENT_BYTES` (64 000 000);
 * `TRIM_STREAMS` (`on` or `off`, the default), `TRIM_AFTER_SECONDS` (86 400). Trimming needs `SNAPSHOT_DIR`.
 * @throws ConfigError
 */
export function envToConfig(env: Readonly<Record<string, string | undefined>>): ArchiveConfig {
  const number = (name: string, standard: number, min: number, max: number): number =>
    wholeNumber(name, env[name] || String(standard), min, max)
  if (!env.ARCHIVE_DIR) throw new ConfigError('ARCHIVE_DIR must say where the archive is.')
  return {
    directory: env.ARCHIVE_DIR,
    replicas: replicasFromEnv(env),
    everySeconds: number('ARCHIVE_EVERY_SECONDS', 600, 1, 86_400),
    afterSeconds: number('ARCHIVE_AFTER_SECONDS', 600, 0, 31_536_000),
    segmentBytes: number('ARCHIVE_SEGMENT_BYTES', 64_000_000, 1_000, 1_000_000_000),
    trim: trimConfig(env, number('TRIM_AFTER_SECONDS', 86_400, 0, 315_360_000)),
  }
}

function trimConfig(env: Readonly<Record<string, string | undefined>>, afterSeconds: number): ArchiveConfig['trim'] {
  const wanted = env.TRIM_STREAMS || 'off'
  if (wanted === 'off') return undefined
  if (wanted !== 'on') throw new ConfigError(`TRIM_STREAMS must be on or off, not "${wanted}".`)
  const snapshots = snapshotConfig(env)
  if (snapshots === undefined) throw new ConfigError('TRIM_STREAMS needs SNAPSHOT_DIR: a trimmed log needs snapshots.')
  return { afterSeconds, mysqlUrl: env.MYSQL_URL || undefined, snapshots }
}
