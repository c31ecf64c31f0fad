import assert from 'node:assert/strict'
import { gunzipSync } from 'node:zlib'
import { server as createHapi, type Server } from '@hapi/hapi'
import { servePage } from './serve-page.ts'

describe('the files of the trading page', () => {
  let server: Server
  before(async () => {
    server = createHapi({ compression: false })
    await servePage(server)
  })
  const get = (url: string, headers: Record<string, string> = {}) => server.inject({ url, headers })
  const paths = async (): Promise<string[]> =>
    [...(await get('/')).payload.matchAll(/(?:href|src)="(\/page\/[^"]+)"/g)].map(([, path]) => path ?? '')

  it('are all there that the page names, each with its type', async () => {
    const found = await paths()
    for (const name of ['app.js', 'style.css', 'icon.svg', 'inter.woff2', 'lightweight-charts.js', 'book.js'])
      assert(
        found.some((path) => path.endsWith(`/${name}`)),
        name,
      )
    for (const path of found) {
      const { statusCode, headers } = await get(path)
      assert.equal(statusCode, 200, path)
      assert.match(String(headers['content-type']), /^(?:text\/(?:css|javascript)|image\/svg\+xml|font\/woff2)/)
      assert.equal(headers['x-content-type-options'], 'nosniff')
    }
  })
  it('name nothing else: no other host, nothing inline', async () => {
    const { payload, headers } = await get('/')
    const named = [...payload.matchAll(/(?:href|src)="([^"]+)"/g)].map(([, path]) => path ?? '')
    const links = ['/docs', '/api/v3/asyncapi.json', 'https://www.tradingview.com/', '#order-form']
    for (const path of named) assert(path.startsWith('/page/') || links.includes(path), path)
    assert.doesNotMatch(payload, /<script(?![^>]*src=)|<style| style=| on[a-z]+="/)
    const policy = String(headers['content-security-policy'])
    assert.match(policy, /default-src 'none'; script-src 'self'; style-src 'self'/)
    assert.doesNotMatch(policy, /unsafe|https?:|\*/)
  })
  it('are kept for good under their version, and asked for again under another', async () => {
    const [path = ''] = await paths()
    assert.equal((await get(path)).headers['cache-control'], 'public, max-age=31536000, immutable')
    const [, , version = ''] = path.split('/')
    const other = await get(path.replace(version, 'another'))
    assert.deepEqual([other.statusCode, other.headers['cache-control']], [200, 'no-cache'])
    assert.equal((await get('/')).headers['cache-control'], 'no-cache')
  })
  it('are not sent again to who has them', async () => {
    const { headers } = await get('/')
    const again = await get('/', { 'if-none-match': String(headers.etag) })
    assert.deepEqual([again.statusCode, again.payload], [304, ''])
    assert.equal((await get('/', { 'if-none-match': '"other"' })).statusCode, 200)
  })
  it('are zipped for who takes that, where it makes them smaller', async () => {
    const found = await paths()
    const css = found.find((path) => path.endsWith('.css')) ?? ''
    const font = found.find((path) => path.endsWith('.woff2')) ?? ''
    const zipped = await get(css, { 'accept-encoding': 'br, gzip' })
    assert.deepEqual([zipped.headers['content-encoding'], zipped.headers.vary], ['gzip', 'accept-encoding'])
    const plain = await get(css)
    assert.equal(plain.headers['content-encoding'], undefined)
    assert.equal(gunzipSync(zipped.rawPayload).toString(), plain.payload)
    assert.notEqual(zipped.headers.etag, plain.headers.etag)
    assert.equal((await get(font, { 'accept-encoding': 'gzip' })).headers['content-encoding'], undefined)
  })
  it('are no others: neither tests, nor types, nor what lies beside the folder', async () => {
    const [path = ''] = await paths()
    const folder = path.slice(0, path.lastIndexOf('/'))
    for (const name of ['types.ts', 'book.test.ts', '../serve-page.ts', '%2e%2e/serve-page.ts', 'index.html', ''])
      assert.equal((await get(`${folder}/${name}`)).statusCode, 404, name)
  })
})
