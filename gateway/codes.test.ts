import assert from 'node:assert/strict'
import { globSync, readFileSync } from 'node:fs'
import { CODES, codesAsMarkdown, isCode } from './codes.ts'

describe('codes', () => {
  it('stand in the README as they are', () => {
    const readme = readFileSync(new URL('README.md', import.meta.url), 'utf8')
    const section = /<!-- codes: [^>]+-->\n([\s\S]*)<!-- \/codes -->/.exec(readme)?.[1]
    // The formatter pads the columns.
    const plain = (markdown: string | undefined) =>
      markdown
        ?.replace(/-{3,}/g, '---')
        .replace(/ *\| */g, '|')
        .trim()
    assert.equal(plain(section), plain(codesAsMarkdown()))
  })
  it('have a status of refusals', () => {
    for (const [code, { status, text }] of Object.entries(CODES)) {
      assert(status >= 400 && status < 600, code)
      assert.match(code, /^[a-z][a-z_]+$/)
      assert.match(text, /\.$/)
    }
  })
  it('are each named by a test', () => {
    const cwd = new URL('..', import.meta.url)
    const files = globSync(['gateway/**/*.test.ts', 'services/**/*.test.ts', 'test/**/*.test.ts'], { cwd })
    const tests = files.map((file) => readFileSync(new URL(file, cwd), 'utf8')).join('\n')
    const unnamed = Object.keys(CODES).filter((code) => !new RegExp(`['"\` ]${code}\\b`).test(tests))
    assert.deepEqual(unnamed, [])
  })
  it('are told from other texts', () => {
    assert.equal(isCode('json_invalid'), true)
    assert.equal(isCode('toString'), false)
  })
})
