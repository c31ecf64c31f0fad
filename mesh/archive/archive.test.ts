import assert from 'node:assert/strict'
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { ReadMessage } from '../bus.ts'
import { Archive, type SegmentEntry } from './archive.ts'
import { subjectMatches } from './subject-matches.ts'

const CREATED = '2026-01-01T00:00:00Z'

describe('the archive', () => {
  let directory: string
  beforeEach(() => {
    directory = mkdtempSync(join(tmpdir(), 'exchange-archive-'))
  })
  afterEach(() => rmSync(directory, { recursive: true }))

  const message = (seq: number, subject = 'accounts.0.cmd', text = `text\n${seq} ü`): ReadMessage => {
    const data = Buffer.from(text)
    const headers = { get: (name: string) => (name === 'Nats-Expected-Last-Subject-Sequence' ? String(seq - 1) : '') }
    return {
      seq,
      subject,
      data,
      string: () => text,
      headers,
      info: { timestampNanos: 1_700_000_000_000_000_000 + seq },
    }
  }
  const run = (from: number, to: number, subject?: string): ReadMessage[] =>
    Array.from({ length: to - from + 1 }, (_, index) => message(from + index, subject))
  const all = async (archive: Archive, entries: readonly SegmentEntry[], filter = '>', from = 1): Promise<number[]> => {
    const found: number[] = []
    for await (const { seq } of archive.read(entries, filter, from)) found.push(seq)
    return found
  }

  it('gives back what was put into it, byte by byte, with times and headers', async () => {
    const archive = new Archive(directory)
    await archive.append('ACCOUNTS', CREATED, run(1, 3))
    await archive.append('ACCOUNTS', CREATED, [...run(4, 5, 'accounts.1.cmd'), message(6, 'accounts.0.cmd', '')])
    // Another process finds the same.
    const other = new Archive(directory)
    const entries = await other.segments('ACCOUNTS', CREATED)
    assert.equal(await other.end('ACCOUNTS', CREATED), 6)
    assert.deepEqual(await all(other, entries), [1, 2, 3, 4, 5, 6])
    assert.deepEqual(await all(other, entries, 'accounts.0.>', 2), [2, 3, 6])
    assert.deepEqual(await all(other, entries, 'accounts.2.>'), [])
    for await (const read of other.read(entries, '>', 2)) {
      const { subject, data, headers, info } = message(2)
      assert.deepEqual([read.subject, Buffer.from(read.data), read.info], [subject, data, info])
      assert.equal(
        read.headers?.get('Nats-Expected-Last-Subject-Sequence'),
        headers?.get('Nats-Expected-Last-Subject-Sequence'),
      )
      break
    }
    assert.equal(await other.end('MARKETS', CREATED), 0)
  })

  it('takes no segment with a gap, and one of two writers only', async () => {
    const archive = new Archive(directory)
    await assert.rejects(archive.append('ACCOUNTS', CREATED, [message(1), message(3)]), { code: 'archive_gap' })
    await archive.append('ACCOUNTS', CREATED, run(1, 3))
    await assert.rejects(new Archive(directory).append('ACCOUNTS', CREATED, run(1, 5)), { code: 'EEXIST' })
    assert.deepEqual(await all(archive, await archive.segments('ACCOUNTS', CREATED)), [1, 2, 3])
    assert(!readdirSync(join(directory, 'ACCOUNTS')).some((name) => name.endsWith('.part')))
  })

  it('is refused where a segment is missing or damaged, or the stream is another one', async () => {
    const archive = new Archive(directory)
    const [first] = [await archive.append('ACCOUNTS', CREATED, run(1, 3))]
    await archive.append('ACCOUNTS', CREATED, run(4, 6))
    await assert.rejects(archive.segments('ACCOUNTS', '2026-02-02T00:00:00Z'), { code: 'archive_of_another_stream' })
    writeFileSync(join(directory, 'ACCOUNTS', first.file), 'something else')
    await assert.rejects(archive.check(first), { code: 'archive_damaged' })
    await assert.rejects(all(archive, await archive.segments('ACCOUNTS', CREATED)), { code: 'archive_damaged' })
    rmSync(join(directory, 'ACCOUNTS', '0000000000000001.json'))
    await assert.rejects(new Archive(directory).segments('ACCOUNTS', CREATED), { code: 'archive_gap' })
  })

  for (const [filter, subject, matches] of [
    ['accounts.0.>', 'accounts.0.from.markets-1', true],
    ['accounts.0.>', 'accounts.0', false],
    ['accounts.*.cmd', 'accounts.7.cmd', true],
    ['accounts.*.cmd', 'accounts.7.cmd.more', false],
    ['events.accounts.1', 'events.accounts.10', false],
    ['>', 'anything.at.all', true],
  ] as const) {
    it(`${filter} ${matches ? 'names' : 'does not name'} ${subject}`, () => {
      assert.equal(subjectMatches(filter, subject), matches)
    })
  }
})
