const whole = new Intl.NumberFormat('en', { maximumFractionDigits: 0 })
const tenth = new Intl.NumberFormat('en', { maximumFractionDigits: 1 })
const clock = new Intl.DateTimeFormat('en-GB', { timeStyle: 'medium' })
const day = new Intl.DateTimeFormat('en-GB', { dateStyle: 'medium', timeStyle: 'medium' })

export const NONE = '–'

export const count = (value) => (value === null ? NONE : whole.format(value))

export function rate(value) {
  if (value === null) return NONE
  return value < 10 ? tenth.format(value) : whole.format(value)
}

export function bytes(value) {
  if (value < 1024) return `${value} B`
  const power = Math.min(4, Math.floor(Math.log2(value) / 10))
  return `${tenth.format(value / 1024 ** power)} ${['B', 'KB', 'MB', 'GB', 'TB'][power]}`
}

export function seconds(value) {
  if (value < 60) return `${Math.max(0, Math.floor(value))} s`
  if (value < 3_600) return `${Math.floor(value / 60)} min`
  if (value < 86_400) return `${Math.floor(value / 3_600)} h ${Math.floor((value % 3_600) / 60)} min`
  return `${Math.floor(value / 86_400)} d ${Math.floor((value % 86_400) / 3_600)} h`
}

export function milliseconds(value) {
  if (value === null) return NONE
  if (value < 1_000) return `${whole.format(value)} ms`
  return value < 60_000 ? `${tenth.format(value / 1_000)} s` : seconds(value / 1_000)
}

/** From microseconds: three places for what is short. */
export function microseconds(us) {
  if (us < 1_000_000) return `${(us / 1_000).toFixed(us < 100_000 ? 2 : 0)} ms`
  return milliseconds(us / 1_000)
}

export const percent = (value) => (value === null ? NONE : `${value} %`)
export const timeOfDay = (ms) => clock.format(ms)
export const dateAndTime = (ms) => day.format(ms)

/** With the microseconds. */
export function exactTime(us) {
  const ms = Math.floor(us / 1_000)
  return `${clock.format(ms)}.${String(us % 1_000_000).padStart(6, '0')}`
}

/** A decimal of any length, with its thousands apart. */
export const decimal = (text) => text.replace(/^(-?)([0-9]+)/, (_, sign, digits) => sign + whole.format(BigInt(digits)))
