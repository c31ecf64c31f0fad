import type { IncomingMessage } from 'node:http'
import { Problem } from '../problem.ts'

/** What is read and thrown away so that the client gets its answer; beyond it the connection is cut. */
const DISCARD_BYTES_MAX = 32 * 1024 * 1024

/** The client went away before its body was there: nobody to answer. */
export class BodyAborted extends Error {
  override readonly name = 'BodyAborted'
}

/** @throws Problem `unsupported_media_type`, `body_too_large`; BodyAborted */
export function readBody(request: IncomingMessage, bytesMax: number): Promise<string> {
  return new Promise((resolve, reject) => {
    const type = request.headers['content-type']
    const isJson = type === 'application/json' || (type !== undefined && JSON_TYPE.test(type))
    let first: Buffer | undefined
    let more: Buffer[] | undefined
    let bytes = 0
    request.on('data', (chunk: Buffer) => {
      bytes += chunk.length
      if (bytes > bytesMax) {
        first = undefined
        more = undefined
        if (bytes > DISCARD_BYTES_MAX) request.destroy()
      } else if (first === undefined) first = chunk
      else if (more === undefined) more = [first, chunk]
      else more.push(chunk)
    })
    request.on('end', () => {
      if (bytes > bytesMax) reject(new Problem('body_too_large', { message: `The body may have ${bytesMax} bytes.` }))
      else if (!isJson && bytes > 0) reject(new Problem('unsupported_media_type'))
      else if (more !== undefined) resolve(Buffer.concat(more).toString())
      else resolve(first === undefined ? '' : first.toString())
    })
    request.on('close', () => {
      if (!request.complete) reject(new BodyAborted())
    })
  })
}

const JSON_TYPE = /^application\/(?:[a-z0-9.+-]+\+)?json\s*(?:;|$)/i
