// Money and prices in whole units: a plain decimal with at most `scale` places is a bigint of so many 10^−scale.

const PLAIN = /^(?:0|[1-9][0-9]*)(?:\.[0-9]+)?$/
const CHARS_MAX = 40

/**
 * @param {string} text
 * @param {number} scale
 * @returns {bigint | undefined} nothing for what is no plain decimal, or has more places; zeros at the end count for nothing
 */
export function toUnits(text, scale) {
  if (!isPlain(text)) return undefined
  const [whole = '', fraction = ''] = text.split('.')
  const places = fraction.replace(/0+$/, '')
  return places.length > scale ? undefined : BigInt(whole + places.padEnd(scale, '0'))
}

/** @param {string} text */
export const isPlain = (text) => text.length <= CHARS_MAX && PLAIN.test(text)

/**
 * A number that is surely one, such as what the exchange says.
 * @param {string} text
 * @param {number} scale
 * @returns {bigint}
 */
export function unitsOf(text, scale) {
  const isNegative = text.startsWith('-')
  const units = toUnits(isNegative ? text.slice(1) : text, scale)
  if (units === undefined) throw new RangeError(`"${text}" is no decimal with ${scale} places.`)
  return isNegative ? -units : units
}

/**
 * With no zeros at the end: `fromUnits(150n, 2)` is `"1.5"`.
 * @param {bigint} units
 * @param {number} scale
 */
export function fromUnits(units, scale) {
  const fixed = toFixed(units, scale)
  return fixed.includes('.') ? fixed.replace(/\.?0+$/, '') : fixed
}

/**
 * With all places: `toFixed(150n, 2)` is `"1.50"`.
 * @param {bigint} units
 * @param {number} scale
 */
export function toFixed(units, scale) {
  const isNegative = units < 0n
  const digits = (isNegative ? -units : units).toString().padStart(scale + 1, '0')
  const text = scale === 0 ? digits : `${digits.slice(0, -scale)}.${digits.slice(-scale)}`
  return isNegative ? `-${text}` : text
}

/**
 * How many places a decimal has that are not zeros at its end.
 * @param {string} text
 */
export function placesOf(text) {
  const [, fraction = ''] = text.split('.')
  return fraction.replace(/0+$/, '').length
}

/**
 * The same in units of another scale; what does not fit is cut off.
 * @param {bigint} units
 * @param {number} scale
 * @param {number} wanted
 */
export function rescale(units, scale, wanted) {
  return wanted >= scale ? units * 10n ** BigInt(wanted - scale) : units / 10n ** BigInt(scale - wanted)
}

/**
 * What people type or paste, as a plain decimal where it is meant as one: ` .5`, `007`, `5.`, `60,000.25`.
 * A single comma could be a point: it is left, and is no decimal.
 * @param {string} typed
 */
export function tidy(typed) {
  const text = typed.replace(/\s/g, '')
  const plain = /^[0-9]{1,3}(?:,[0-9]{3})+\.[0-9]*$|^[0-9]{1,3}(?:,[0-9]{3}){2,}$/.test(text)
    ? text.replaceAll(',', '')
    : text
  return plain
    .replace(/^\./, '0.')
    .replace(/\.$/, '')
    .replace(/^0+(?=[0-9])/, '')
}
