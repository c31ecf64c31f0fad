import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { ConfigError } from '#mesh/config.ts'
import { helpText, parseArguments } from './args.ts'
import { envToConfig, type LauncherConfig } from './config.ts'
import { PreflightError } from './errors.ts'
import { type MeshPlan, startMesh } from './mesh.ts'
import { type Screen, terminal } from './screen.ts'
import { projectDirectory } from './servers/directories.ts'

const secondCtrlCMs = 1_000

/** The whole of `npm start`: until it is told to stop, or cannot start. */
export async function runCli(plan: Omit<MeshPlan, 'scale' | 'cluster'>, argv: readonly string[]): Promise<void> {
  const screen = terminal()
  try {
    const { help, cluster, scale } = parseArguments(argv, plan.services)
    if (help) screen.text(helpText(plan.services))
    else await runMesh({ ...plan, cluster, scale }, screen)
  } catch (error) {
    process.exitCode = 1
    screen.failure('', explain(error))
  }
}

async function runMesh(plan: MeshPlan, screen: Screen): Promise<void> {
  const config = loadConfig()
  const stopped = stopSignal()
  const stack = new AsyncDisposableStack()
  try {
    const starting = startMesh(plan, config, screen, stack).then(() => stopped)
    // A start that fails after the stop has nothing to say any more.
    starting.catch(() => {})
    const reason = await Promise.race([starting, stopped])
    screen.text(`\nStopping (${reason}) …`)
  } catch (error) {
    process.exitCode = 1
    screen.failure('', explain(error))
  }
  await stack.disposeAsync()
  // What a start that was broken off still does ends here.
  process.exit()
}

export function loadConfig(): LauncherConfig {
  const path = join(projectDirectory, '.env')
  if (existsSync(path)) process.loadEnvFile(path)
  return envToConfig(process.env)
}

/** Resolves with the first reason to stop. Another Ctrl-C, a second or more later, ends everything at once. */
function stopSignal(): Promise<string> {
  const { promise, resolve } = Promise.withResolvers<string>()
  let firstMs: number | undefined
  const onSignal = (reason: string) => {
    firstMs ??= performance.now()
    // Not the same one: the terminal, npm and the first stage each pass a Ctrl-C on.
    if (reason === 'SIGINT' && performance.now() - firstMs > secondCtrlCMs) process.exit(130)
    resolve(reason)
  }
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => onSignal(signal))
  // The first stage is gone, by SIGKILL too.
  process.once('disconnect', () => onSignal('its parent ended'))
  return promise
}

export function explain(error: unknown): string {
  if (error instanceof PreflightError || error instanceof ConfigError) return error.message
  return error instanceof Error ? error.message : String(error)
}
