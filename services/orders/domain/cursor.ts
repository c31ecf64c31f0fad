/**
 * Where a page ended: `<kind>` and whole numbers, opaque to those who pass it on. It names a row by its key, which never
 * changes, so what comes or goes elsewhere does not move the next page.
 */
export type CursorKind = 'orders' | 'trades' | 'ledger'

export function encodeCursor(kind: CursorKind, numbers: readonly number[]): string {
  return btoa(`${kind}.${numbers.join('.')}`)
    .replaceAll('=', '')
    .replaceAll('+', '-')
    .replaceAll('/', '_')
}

/** Undefined for what is not a cursor of this kind with so many numbers. */
export function decodeCursor(kind: CursorKind, count: number, cursor: string): number[] | undefined {
  if (cursor.length > 200 || !/^[A-Za-z0-9_-]+$/.test(cursor)) return undefined
  const [found, ...texts] = plain(cursor).split('.')
  if (found !== kind || texts.length !== count || !texts.every((text) => /^[0-9]{1,16}$/.test(text))) return undefined
  const numbers = texts.map(Number)
  return numbers.every(Number.isSafeInteger) ? numbers : undefined
}

function plain(cursor: string): string {
  try {
    return atob(cursor.replaceAll('-', '+').replaceAll('_', '/'))
  } catch {
    return ''
  }
}
