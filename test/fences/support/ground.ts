import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { type OwnedProcess, run } from '#launcher/servers/child-process.ts'
import { Crowd } from '../../chaos/crowd.ts'
import { eventually } from '../../support/eventually.ts'
import { type SupervisedMesh, startSupervised } from '../../support/supervised.ts'

export interface Pause {
  /** The longest time that one of the parts concerned answered nobody. */
  readonly ms: number
  /** The same before anything broke: on a busy machine nobody is answered at once. */
  readonly calmMs: number
  /** What members were answered meanwhile, and how often. */
  readonly answers: ReadonlyMap<string, number>
}

const EXCHANGE = join(import.meta.dirname, '../../../exchange/main.ts')
const READY_MS_MAX = 60_000
const CALM_MS = 1_500

/** A mesh with members who trade, on which things are broken. */
export class Ground implements AsyncDisposable {
  readonly supervised: SupervisedMesh
  readonly crowd: Crowd
  readonly #instances: readonly string[]

  private constructor(supervised: SupervisedMesh, crowd: Crowd, instances: readonly string[]) {
    this.supervised = supervised
    this.crowd = crowd
    this.#instances = instances
  }

  /** Two instances of each of these services. */
  static async start(services: readonly string[], seed: number): Promise<Ground> {
    const supervised = await startSupervised({
      scale: Object.fromEntries(services.map((service) => [service, 2])),
      env: { RATE_LOGIN: '1000:1000' },
    })
    try {
      const crowd = await Crowd.gather(supervised, { members: 150, rate: 100, seed })
      const instances = services.flatMap((service) => [service, `${service}-2`])
      return new Ground(supervised, crowd, instances)
    } catch (error) {
      await supervised[Symbol.asyncDispose]()
      throw error
    }
  }

  /** Breaks something while members trade, and holds all that they were told so far against what is there. */
  async whileTrading(parts: () => readonly string[], breakIt: () => Promise<void>): Promise<Pause> {
    const { crowd } = this
    crowd.start()
    await sleep(CALM_MS)
    const calmMs = crowd.pauses.longest(crowd.parts, 0, performance.now())
    const concerned = parts()
    const before = new Map(crowd.answers)
    const beganMs = performance.now()
    await breakIt()
    await sleep(500)
    const endMs = performance.now()
    const ms = crowd.pauses.longest(concerned, beganMs, endMs)
    await crowd.stop()
    await this.judge()
    const answers = [...crowd.answers].map(([answer, count]) => [answer, count - (before.get(answer) ?? 0)] as const)
    return { ms, calmMs, answers: new Map(answers.filter(([, count]) => count > 0)) }
  }

  async judge(): Promise<void> {
    assert.equal(await this.crowd.settle(), 0, 'everybody finds out what became of his order')
    const { counts, differences } = await this.crowd.judge()
    assert.deepEqual(differences.slice(0, 5), [])
    assert(counts.acknowledged > 100)
  }

  ownerOf(part: string): string {
    const owner = this.crowd.owners.ownerOf(part)
    assert(owner !== undefined, `${part} has no owner`)
    return owner.replace(/-1$/, '')
  }

  /** The parts that this process owns. */
  ownedBy(name: string): string[] {
    const { parts, owners } = this.crowd
    return parts.filter((part) => owners.ownerOf(part) !== undefined && this.ownerOf(part) === name)
  }

  /** What these processes log from here on. */
  logs(...names: readonly string[]): () => string {
    const each = names.map((name) => {
      const { output } = this.supervised.process(name).spec
      assert('file' in output)
      const from = readFileSync(output.file).length
      return () => readFileSync(output.file).subarray(from).toString()
    })
    return () => each.map((one) => one()).join('\n')
  }

  /** Every instance is ready, and every slot has an owner. */
  async untilWhole(): Promise<void> {
    for (const name of this.#instances) {
      const owned = this.supervised.process(name)
      await eventually(
        async () => assert(await isReady(owned), `${name} is not ready: ${await healthOf(owned)}`),
        READY_MS_MAX,
      )
    }
    await eventually(() => {
      for (const part of this.crowd.parts) this.ownerOf(part)
    })
  }

  /** The operators' command, in a process of its own. @throws RunError */
  clearSlot(service: string, slot: number): Promise<string> {
    return run(process.execPath, [EXCHANGE, 'clear-slot', service, String(slot)], {
      NATS_URL: this.supervised.mesh.natsUrl,
    })
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.crowd[Symbol.asyncDispose]()
    await this.supervised[Symbol.asyncDispose]()
  }
}

/** Asks until it holds, as long as a busy machine may need. */
export const patiently = (check: () => Promise<void> | void): Promise<void> => eventually(check, READY_MS_MAX)

/** Nobody notices more than two seconds, beyond what a busy machine makes of it. */
export function assertBrief({ ms, calmMs, answers }: Pause): void {
  assert(ms <= 2_000 + 2 * calmMs, `a pause of ${ms} ms, and of ${calmMs} ms before: ${[...answers].join(' ')}`)
}

/** What `/health/ready` of a process says. */
export async function healthOf({ spec, isRunning }: OwnedProcess): Promise<string> {
  if (!isRunning) return 'it does not run'
  const port = spec.env?.HEALTH_PORT ?? spec.env?.GATEWAY_PORT
  const response = await fetch(`http://127.0.0.1:${port}/health/ready`).catch(() => undefined)
  return response === undefined ? 'it does not answer' : await response.text()
}

const isReady = (owned: OwnedProcess): Promise<boolean> =>
  owned.isRunning ? owned.spec.isReady() : Promise.resolve(false)
