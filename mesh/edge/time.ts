import type { TimeUs } from '#mesh/protocol/common.ts'

let second = -1
let prefix = ''

/** ISO 8601 with microseconds: `2031-05-04T03:02:01.000123Z`. The last second's text is kept: most times are of now. */
export function formatTime(timeUs: TimeUs): string {
  const whole = Math.floor(timeUs / 1_000_000)
  if (whole !== second) {
    prefix = new Date(whole * 1000).toISOString().slice(0, 20)
    second = whole
  }
  return `${prefix}${String(timeUs - whole * 1_000_000).padStart(6, '0')}Z`
}

const ISO_TIME = /^\d{4}-\d{2}-\d{2}(?:T\d{2}:\d{2}:\d{2}(?:\.(\d{1,6}))?(?:Z|[+-]\d{2}:\d{2}))?$/

/** Microseconds since 1970 of an ISO 8601 date or time with its zone, `undefined` for anything else. */
export function parseTime(text: string): TimeUs | undefined {
  const match = ISO_TIME.exec(text)
  if (match === null) return undefined
  const fraction = match[1] ?? ''
  const ms = Date.parse(fraction === '' ? text : text.replace(`.${fraction}`, ''))
  if (Number.isNaN(ms) || ms < 0) return undefined
  return ms * 1000 + Number(fraction.padEnd(6, '0'))
}
