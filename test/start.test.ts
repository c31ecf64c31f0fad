import assert from 'node:assert/strict'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Launched, privateEnv } from '#launcher/fixtures/launched.ts'
import { run } from '#launcher/servers/child-process.ts'
import { projectDirectory } from '#launcher/servers/directories.ts'

describe('npm start', function () {
  this.timeout(300_000)
  let directory: string
  let publicUrl: string
  let env: NodeJS.ProcessEnv

  before(async () => {
    directory = mkdtempSync(join(tmpdir(), 'exchange-start-'))
    env = await privateEnv(directory)
    publicUrl = `http://127.0.0.1:${env.PUBLIC_PORT}`
  })
  after(() => rmSync(directory, { recursive: true, force: true }))

  it('brings up two of everything that can be two, and the first order is filled as pasted', async () => {
    await using mesh = await start('gateway=2', 'auth=2', 'guid=2', 'orders=2')
    await pasteFirstOrder()
    const operatorUrl = `http://127.0.0.1:${env.OPERATOR_PORT}`
    assert(mesh.output().includes(`The operator's page: ${operatorUrl} `))
    assert.match(await (await fetch(operatorUrl)).text(), /<title>Log in · Exchange operator<\/title>/)
    assert.equal(await mesh.end('SIGINT'), 0)
    assert.doesNotMatch(mesh.output(), /✖/)
  })

  it('keeps all data over a second start, and takes orders within seconds of a SIGKILL of both machines', async () => {
    await using mesh = await start()
    await pasteFirstOrder()
    for (const name of ['accounts-1', 'engine-1']) process.kill(pidOf(name), 'SIGKILL')
    await mesh.until(/(ended \(SIGKILL\).*){2}(ready again.*){2}/s, 15_000)
    await pasteFirstOrder()
    assert.equal(await mesh.end('SIGINT'), 0)
  })

  async function start(...scale: string[]): Promise<Launched> {
    const mesh = new Launched(['launcher/main.ts', ...(scale.length === 0 ? [] : ['--scale', ...scale])], env)
    await mesh.started()
    return mesh
  }

  /** Also makes sure that the orders of the time before are there. */
  async function pasteFirstOrder(): Promise<void> {
    const check = join(projectDirectory, 'launcher/first-order-check.ts')
    const files = [join(directory, 'earlier-order'), join(directory, 'admin-password')]
    await run(process.execPath, [check, publicUrl, ...files])
  }

  function pidOf(name: string): number {
    const processes: { name: string; pid: number }[] = JSON.parse(
      readFileSync(join(directory, 'run/processes.json'), 'utf8'),
    )
    const found = processes.find((one) => one.name === name)
    assert(found, name)
    return found.pid
  }
})
