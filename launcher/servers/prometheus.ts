import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { aptInstall, canApt } from './apt.ts'
import { type OwnedProcess, startProcess } from './child-process.ts'
import { projectDirectory, which } from './directories.ts'
import { freePort, loopback } from './ports.ts'
import { answersHttp } from './probe.ts'
import type { Report } from './programs.ts'

export type PrometheusPrograms = { prometheus: string; promtool: string }

/** Undefined where they are not and cannot be installed: nothing of ours needs Prometheus to run. */
export async function prometheusPrograms(report: Report = () => {}): Promise<PrometheusPrograms | undefined> {
  const found = installed()
  if (found !== undefined || !canApt()) return found
  await aptInstall([['prometheus']], report).catch(() => {})
  return installed()
}

function installed(): PrometheusPrograms | undefined {
  const prometheus = which('prometheus')
  const promtool = which('promtool')
  return prometheus !== undefined && promtool !== undefined ? { prometheus, promtool } : undefined
}

export type PrometheusServer = OwnedProcess & { url: string }

/** On the project's own rules. `targetsFile`: what to scrape, as file_sd has it. */
export async function startPrometheusServer(options: {
  program: string
  directory: string
  targetsFile: string
  scrapeInterval: string
}): Promise<PrometheusServer> {
  const { program, directory, targetsFile, scrapeInterval } = options
  mkdirSync(directory, { recursive: true })
  const config = join(directory, 'prometheus.yml')
  const rules = join(projectDirectory, 'ops/prometheus/rules.yml')
  writeFileSync(
    config,
    `global: { scrape_interval: ${scrapeInterval}, scrape_timeout: ${scrapeInterval}, evaluation_interval: ${scrapeInterval} }
rule_files: [${JSON.stringify(rules)}]
scrape_configs:
  - job_name: exchange
    file_sd_configs: [{ files: [${JSON.stringify(targetsFile)}] }]
`,
  )
  const url = `http://${loopback}:${await freePort()}`
  const owned = await startProcess({
    name: 'prometheus',
    command: program,
    args: [
      `--config.file=${config}`,
      `--storage.tsdb.path=${join(directory, 'data')}`,
      `--web.listen-address=${url.slice('http://'.length)}`,
    ],
    output: { file: join(directory, 'prometheus.log') },
    isReady: () => answersHttp(`${url}/-/ready`),
    readyTimeoutMs: 30_000,
    stopTimeoutMs: 10_000,
  })
  return Object.assign(owned, { url })
}
