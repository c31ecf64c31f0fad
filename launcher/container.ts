// The entry of our image: `node launcher/container.ts services/auth/main.ts`.
import { hostname } from 'node:os'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { laptopSecrets } from './laptop-secrets.ts'
import { projectDirectory } from './servers/directories.ts'

const [script] = process.argv.slice(2)
// Compose cannot leave a variable out: an empty one is none.
for (const [name, value] of Object.entries(process.env)) if (value === '') delete process.env[name]

const refusal = laptopSecrets(process.env)
if (script === undefined || refusal !== undefined) {
  console.error(`✖ ${refusal ?? 'usage: node launcher/container.ts SCRIPT'}`)
  process.exitCode = 1
} else {
  // Every container runs its service as process 1; its host name is what sets it apart.
  process.env.INSTANCE_ID ??= `${process.env.SERVICE_NAME}-${hostname()}`
  await import(pathToFileURL(join(projectDirectory, script)).href)
}
