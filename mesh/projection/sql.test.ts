import assert from 'node:assert/strict'
import { adding, ascii, asciiOrNull, insertInto, int, intOrNull, minor, overwriting, text } from './sql.ts'

describe('SQL literals', () => {
  const rows: [name: string, literal: string, expected: string][] = [
    ['a plain word', ascii('BTC-USDT', 32), "'BTC-USDT'"],
    ['text that is cut to the width', ascii('abcdef', 3), "'abc'"],
    ['quotes and backslashes', ascii(`it's "\\"`, 32), `'it\\'s \\"\\\\\\"'`],
    ['what ASCII does not have', ascii('ü\u{1f600}\n', 32), "'???'"],
    ['an injection', ascii("'; DROP TABLE orders; --", 64), "'\\'; DROP TABLE orders; --'"],
    ['text beyond ASCII', text('größe\n\0\x1a\r', 32), "'größe\\n\\0\\Z\\r'"],
    ['half a surrogate pair', text('\u{1f600}', 1), "'\ufffd'"],
    ['no text', asciiOrNull(undefined, 3), 'NULL'],
    ['an id', int(2 ** 53 - 1), '9007199254740991'],
    ['a number that is no id', int(2 ** 60), '0'],
    ['not a number', int(Number.NaN), '0'],
    ['no number', intOrNull(undefined), 'NULL'],
    ['money', minor('-123456789012345678901234567890'), '-123456789012345678901234567890'],
    ['money as bigint', minor(-5n), '-5'],
  ]
  for (const [name, literal, expected] of rows) it(name, () => assert.equal(literal, expected))

  it('refuses money that is no decimal integer', () => {
    for (const wrong of ['1.5', '', '1e9', '0); DROP TABLE orders']) assert.throws(() => minor(wrong))
  })

  it('writes many rows in one statement', () => {
    const insert = insertInto('t', ['a', 'b'], overwriting(['b']))
    assert.equal(
      insert(['(1,2)', '(3,4)']),
      'INSERT INTO t (a,b) VALUES (1,2),(3,4) ON DUPLICATE KEY UPDATE b=VALUES(b)',
    )
    assert.equal(adding(['b']), ' ON DUPLICATE KEY UPDATE b=b+VALUES(b)')
  })
})
