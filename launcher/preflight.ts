import { accessSync, constants, mkdirSync, statfsSync } from 'node:fs'
import type { LauncherConfig } from './config.ts'
import { PreflightError } from './errors.ts'
import { portOwner } from './servers/port-owner.ts'
import { isPortFree } from './servers/ports.ts'

const freeBytesMin = 1024 ** 3

/** Makes the data directory, and makes sure that it can be written to and that the disk has room. */
export function checkDataDirectory({ dataDirectory, binDirectory }: LauncherConfig): void {
  for (const directory of [dataDirectory, binDirectory]) {
    try {
      mkdirSync(directory, { recursive: true })
      accessSync(directory, constants.W_OK)
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException
      throw new PreflightError(`Cannot write to ${directory} (${code}); change its owner, or set EXCHANGE_DATA_DIR`)
    }
  }
  const { bavail, bsize } = statfsSync(dataDirectory)
  const freeBytes = bavail * bsize
  if (freeBytes >= freeBytesMin) return
  const freeMb = Math.floor(freeBytes / 1024 ** 2)
  throw new PreflightError(`Only ${freeMb} MB are free in ${dataDirectory}; 1 GB is needed, or set EXCHANGE_DATA_DIR`)
}

/** @throws PreflightError that names the port, who has it, and the setting that moves ours. */
export async function checkPort(setting: string, port: number, host: string): Promise<void> {
  if (await isPortFree(port, host)) return
  const owner = portOwner(port)
  const taken = owner === undefined ? 'cannot be listened on' : `is taken by ${owner}`
  throw new PreflightError(`Port ${port} ${taken}. End that, or set ${setting} to another port`)
}
