import { execFileSync } from 'node:child_process'
import { readdirSync, readFileSync, readlinkSync } from 'node:fs'

const listening = '0A'

/** Who listens on a TCP port, as a person would say it: `nginx (process 812)`. Undefined when it cannot be told. */
export function portOwner(port: number): string | undefined {
  try {
    return process.platform === 'linux' ? ownerByProc(port) : ownerByLsof(port)
  } catch {
    return undefined
  }
}

function ownerByProc(port: number): string | undefined {
  const inodes = new Set(['/proc/net/tcp', '/proc/net/tcp6'].flatMap((table) => listeningInodes(table, port)))
  for (const pid of readdirSync('/proc').filter((name) => /^[0-9]+$/.test(name))) {
    if (socketsOf(pid).some((inode) => inodes.has(inode))) {
      return `${readFileSync(`/proc/${pid}/comm`, 'utf8').trim()} (process ${pid})`
    }
  }
  return undefined
}

function listeningInodes(table: string, port: number): string[] {
  const rows = readFileSync(table, 'utf8').trim().split('\n').slice(1)
  return rows
    .map((row) => row.trim().split(/\s+/))
    .filter(([, local = '', , state]) => state === listening && Number.parseInt(local.split(':')[1] ?? '', 16) === port)
    .map((fields) => fields[9] ?? '')
}

function socketsOf(pid: string): string[] {
  try {
    return readdirSync(`/proc/${pid}/fd`).map((fd) => {
      try {
        return /^socket:\[([0-9]+)\]$/.exec(readlinkSync(`/proc/${pid}/fd/${fd}`))?.[1] ?? ''
      } catch {
        return ''
      }
    })
  } catch {
    return [] // Another user's process, or one that has just ended.
  }
}

function ownerByLsof(port: number): string | undefined {
  const output = execFileSync('lsof', ['-nP', `-iTCP:${port}`, '-sTCP:LISTEN', '-Fpc'], { encoding: 'utf8' })
  const [pid, command] = [/^p(\d+)/m.exec(output)?.[1], /^c(.+)/m.exec(output)?.[1]]
  return pid === undefined ? undefined : `${command} (process ${pid})`
}
