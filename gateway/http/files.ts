import { createHash } from 'node:crypto'
import { gzipSync } from 'node:zlib'
import type { Request, ResponseObject, ResponseToolkit } from '@hapi/hapi'

export interface File {
  readonly type: string
  readonly content: string | Buffer
  /** The Content-Security-Policy of what is shown. */
  readonly policy: string
  /** Default `no-cache`: kept, but asked for whether it is still the same. */
  readonly cacheControl?: (request: Request) => string
}

/** What is zipped already, as typefaces and pictures are, gains next to nothing. */
const ZIPPED_SHARE_MAX = 0.9

/** Answers with a file from memory: made once, zipped where that helps, and only told that it is the same where the client has it. */
export function fileHandler({ type, content, policy, cacheControl = () => 'no-cache' }: File) {
  const plain = Buffer.from(content)
  const zipped = gzipSync(plain)
  const isWorthIt = zipped.length < ZIPPED_SHARE_MAX * plain.length
  const tag = createHash('sha256').update(plain).digest('base64url').slice(0, 22)
  return (request: Request, h: ResponseToolkit): ResponseObject => {
    const isZipped = isWorthIt && /\bgzip\b/.test(String(request.headers['accept-encoding']))
    const response = h
      .response(isZipped ? zipped : plain)
      .type(type)
      .etag(isZipped ? `${tag}-gzip` : tag, { weak: false, vary: false })
      .header('content-security-policy', policy)
      .header('x-content-type-options', 'nosniff')
      .header('referrer-policy', 'no-referrer')
      .header('cross-origin-opener-policy', 'same-origin')
      .header('cross-origin-resource-policy', 'same-origin')
      .header('cache-control', cacheControl(request))
      .header('vary', 'accept-encoding')
    return isZipped ? response.header('content-encoding', 'gzip') : response
  }
}
