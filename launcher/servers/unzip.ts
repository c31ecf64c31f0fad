import assert from 'node:assert/strict'
import { closeSync, fstatSync, openSync, readSync } from 'node:fs'
import { inflateRawSync } from 'node:zlib'

const endMagic = 0x06054b50
const entryMagic = 0x02014b50
const endBytes = 22
const commentBytesMax = 65_535
const deflated = 8

/** The content of the first file in a zip archive whose path ends so. (A fresh machine has no unzip.) */
export function readZipped(archivePath: string, pathEnd: string): Buffer {
  const file = openSync(archivePath, 'r')
  try {
    const entry = entries(file).find(({ path }) => path.endsWith(pathEnd))
    assert(entry, `${archivePath} holds ${pathEnd}`)
    const header = readAt(file, entry.offset, 30)
    const start = entry.offset + 30 + header.readUInt16LE(26) + header.readUInt16LE(28)
    const data = readAt(file, start, entry.packedBytes)
    return entry.method === deflated ? inflateRawSync(data) : data
  } finally {
    closeSync(file)
  }
}

type Entry = { path: string; method: number; packedBytes: number; offset: number }

function entries(file: number): Entry[] {
  const bytes = fstatSync(file).size
  const tailBytes = Math.min(bytes, endBytes + commentBytesMax)
  const tail = readAt(file, bytes - tailBytes, tailBytes)
  let end = tail.length - endBytes
  while (end >= 0 && tail.readUInt32LE(end) !== endMagic) end--
  assert(end >= 0, 'a zip archive has an end record')
  const directory = readAt(file, tail.readUInt32LE(end + 16), tail.readUInt32LE(end + 12))
  const found: Entry[] = []
  for (let at = 0; at < directory.length && directory.readUInt32LE(at) === entryMagic; ) {
    const pathBytes = directory.readUInt16LE(at + 28)
    found.push({
      path: directory.toString('utf8', at + 46, at + 46 + pathBytes),
      method: directory.readUInt16LE(at + 10),
      packedBytes: directory.readUInt32LE(at + 20),
      offset: directory.readUInt32LE(at + 42),
    })
    at += 46 + pathBytes + directory.readUInt16LE(at + 30) + directory.readUInt16LE(at + 32)
  }
  return found
}

function readAt(file: number, offset: number, length: number): Buffer {
  const buffer = Buffer.alloc(length)
  assert.equal(readSync(file, buffer, 0, length, offset), length, 'the archive is whole')
  return buffer
}
