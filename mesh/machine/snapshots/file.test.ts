import assert from 'node:assert/strict'
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { readSnapshotFile, SnapshotBroken, type SnapshotHeader, writeSnapshotFile } from './file.ts'

const HEADER: SnapshotHeader = {
  log: 'accounts',
  slot: 3,
  stateVersion: 1,
  memoryVersion: 1,
  point: { applied: [7, 2], itemsCount: 9, hash: 11, timeUs: 13, pairsIn: [], pairsOut: [] },
  stateHash: 'ab',
  messageHash: 'cd',
  takenAt: '2026-01-01T00:00:00Z',
  instance: 'accounts-1',
}

describe('a snapshot file', () => {
  let directory: string
  let path: string
  beforeEach(() => {
    directory = mkdtempSync(join(tmpdir(), 'exchange-snapshot-'))
    path = join(directory, 'one.snapshot')
  })
  afterEach(() => rmSync(directory, { recursive: true }))

  it('gives back what was written, small parts and large ones', async () => {
    const parts = [1, 0, 300_000, 5, 600_000].map((length, index) => new Uint8Array(length).fill(index + 1))
    const { bytes } = await writeSnapshotFile(path, HEADER, parts)
    assert.equal(readFileSync(path).length, bytes)
    const { header, body } = await readSnapshotFile(path)
    assert.deepEqual(header, HEADER)
    assert.deepEqual(Buffer.from(body), Buffer.concat(parts))
    assert.deepEqual(readdirSync(directory), ['one.snapshot'])
  })

  it('is refused when any byte of it is another one, or it ends early', async () => {
    await writeSnapshotFile(path, HEADER, [Buffer.from('the state of a slot')])
    const whole = readFileSync(path)
    const isRefused = async (bytes: Uint8Array, what: string): Promise<void> => {
      writeFileSync(path, bytes)
      await assert.rejects(readSnapshotFile(path), SnapshotBroken, what)
    }
    for (let at = 0; at < whole.length; at++) {
      const changed = Buffer.from(whole)
      changed[at] = (whole[at] ?? 0) ^ 0x10
      await isRefused(changed, `byte ${at}`)
      await isRefused(whole.subarray(0, at), `${at} bytes`)
    }
    const later = Buffer.from(whole)
    later[7] = 2
    writeFileSync(path, later)
    await assert.rejects(readSnapshotFile(path), { code: 'snapshot_version_unknown' })
  })

  it('has its name only when it is whole', async () => {
    function* failing(): Generator<Uint8Array> {
      yield Buffer.from('the first part')
      throw new Error('the disk is full')
    }
    await assert.rejects(writeSnapshotFile(path, HEADER, failing()), /the disk is full/)
    assert.deepEqual(readdirSync(directory), [])
  })
})
