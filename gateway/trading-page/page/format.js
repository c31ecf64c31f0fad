/**
 * `1234567.5` as `1,234,567.5`.
 * @param {string} text
 */
export function grouped(text) {
  const point = text.indexOf('.')
  const whole = point < 0 ? text : text.slice(0, point)
  return whole.replace(/\B(?=(?:[0-9]{3})+$)/g, ',') + (point < 0 ? '' : text.slice(point))
}

/**
 * With at least so many places, for columns of numbers.
 * @param {string} text
 * @param {number} places
 */
export function padded(text, places) {
  if (places === 0) return text
  const [whole, fraction = ''] = text.split('.')
  return `${whole}.${fraction.padEnd(places, '0')}`
}

/**
 * With at most so many places; the rest is cut off.
 * @param {string} text
 * @param {number} places
 */
export function cut(text, places) {
  const point = text.indexOf('.')
  if (point < 0 || text.length - point - 1 <= places) return text
  return places === 0 ? text.slice(0, point) : text.slice(0, point + 1 + places)
}

const COMPACT = new Intl.NumberFormat('en', { notation: 'compact', maximumFractionDigits: 2 })

/**
 * A volume at a glance, rounded: `1.23M`.
 * @param {string} text
 */
export const compact = (text) => COMPACT.format(Number(text))

/**
 * A change in per cent with its sign and two places: `+1.25%`.
 * @param {string} text
 */
export function signedPercent(text) {
  const rounded = Number(text)
    .toFixed(2)
    .replace(/^-(?=0\.00$)/, '')
  return `${Number(rounded) > 0 ? '+' : ''}${rounded}%`
}

const two = (/** @type {number} */ value) => String(value).padStart(2, '0')

/** @param {string} iso */
export function clock(iso) {
  const time = new Date(iso)
  return `${two(time.getHours())}:${two(time.getMinutes())}:${two(time.getSeconds())}`
}

/** @param {string} iso */
export function dayAndClock(iso) {
  const time = new Date(iso)
  return `${two(time.getMonth() + 1)}-${two(time.getDate())} ${clock(iso)}`
}
