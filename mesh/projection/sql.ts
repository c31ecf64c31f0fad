import assert from 'node:assert/strict'

/**
 * SQL literals for multi-row statements, made without a driver's placeholders: a projection writes thousands of rows a
 * second. Connections that run them have a strict `sql_mode` without NO_BACKSLASH_ESCAPES.
 */

/** A whole number; what is none (a refused order can carry anything) becomes 0. */
export const int = (value: number): string => (Number.isSafeInteger(value) ? String(value) : '0')

export const intOrNull = (value: number | undefined): string => (value === undefined ? 'NULL' : int(value))

/** Money in minor units, already a decimal integer. */
export function minor(value: string | bigint): string {
  const text = typeof value === 'string' ? value : value.toString()
  assert(WHOLE.test(text), 'money is a decimal integer')
  return text
}

/** Text of an ASCII column, cut to its width; other characters become `?`, so that no text can stop a projection. */
export function ascii(value: string, width: number): string {
  const text = value.length > width ? value.slice(0, width) : value
  return PLAIN.test(text) ? `'${text}'` : `'${escaped(text.replace(NOT_ASCII, '?'))}'`
}

export const asciiOrNull = (value: string | undefined, width: number): string =>
  value === undefined ? 'NULL' : ascii(value, width)

/** Text of a utf8mb4 column, cut to its width. */
export function text(value: string, width: number): string {
  const cut = value.length > width ? value.slice(0, width) : value
  return PLAIN.test(cut) ? `'${cut}'` : `'${escaped(cut.toWellFormed())}'`
}

/** `INSERT INTO table (…) VALUES (…),(…)`; each row is its literals in brackets. */
export type Insert = (rows: readonly string[]) => string

export function insertInto(table: string, columns: readonly string[], onDuplicate = ''): Insert {
  const head = `INSERT INTO ${table} (${columns.join(',')}) VALUES `
  return (rows) => `${head}${rows.join(',')}${onDuplicate}`
}

/** Writes over the row of the same key in the given columns. */
export const overwriting = (columns: readonly string[]): string =>
  ` ON DUPLICATE KEY UPDATE ${columns.map((column) => `${column}=VALUES(${column})`).join(',')}`

/** Adds to the row of the same key in the given columns. */
export const adding = (columns: readonly string[]): string =>
  ` ON DUPLICATE KEY UPDATE ${columns.map((column) => `${column}=${column}+VALUES(${column})`).join(',')}`

const WHOLE = /^-?[0-9]{1,38}$/
const PLAIN = /^[A-Za-z0-9 ._:@/+-]*$/
const NOT_ASCII = /[^\x20-\x7e]/gu

function escaped(value: string): string {
  return value.replace(SPECIAL, (character) => ESCAPED[character] ?? `\\${character}`)
}

// biome-ignore lint/suspicious/noControlCharactersInRegex: what MySQL wants escaped
const SPECIAL = /[\0\x1a\n\r'"\\]/g
const ESCAPED: Record<string, string> = { '\0': '\\0', '\x1a': '\\Z', '\n': '\\n', '\r': '\\r' }
