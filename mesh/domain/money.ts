/** Decimals at the border, whole numbers inside. */

/** A plain decimal: no sign, exponent, leading zeros or blanks. At most 40 characters. */
const PLAIN_DECIMAL = /^(?:0|[1-9][0-9]*)(?:\.[0-9]+)?$/

/**
 * Parses a plain decimal into whole units of 10^−scale.
 * Returns `undefined` for anything that is not one, or has more decimal places than the scale (trailing zeros are fine).
 */
export function parseDecimal(text: string, scale: number): bigint | undefined {
  if (text.length > 40 || !PLAIN_DECIMAL.test(text)) return undefined
  const point = text.indexOf('.')
  if (point < 0) return BigInt(text) * 10n ** BigInt(scale)
  let end = text.length
  while (text.charCodeAt(end - 1) === 48) end--
  const fraction = text.slice(point + 1, end)
  if (fraction.length > scale) return undefined
  return BigInt(text.slice(0, point) + fraction.padEnd(scale, '0'))
}

/** Writes whole units of 10^−scale as a decimal with no trailing zeros: `formatDecimal(-150n, 2)` is `"-1.5"`. */
export function formatDecimal(units: bigint, scale: number): string {
  if (scale === 0) return units.toString()
  const negative = units < 0n
  const digits = (negative ? -units : units).toString().padStart(scale + 1, '0')
  let end = digits.length
  while (end > digits.length - scale && digits.charCodeAt(end - 1) === 48) end--
  const whole = digits.slice(0, digits.length - scale)
  const fraction = digits.slice(digits.length - scale, end)
  return `${negative ? '-' : ''}${whole}${fraction === '' ? '' : `.${fraction}`}`
}

const PPM = 1_000_000n

/** The fee on what is received, rounded up to the next minor unit. `ppm` is 0..1 000 000. */
export function feeOf(receivedMinor: bigint, ppm: number): bigint {
  if (ppm === 0) return 0n
  return (receivedMinor * BigInt(ppm) + PPM - 1n) / PPM
}

/** Largest sum of money that one account slot may hold of an asset, so that no sum over all slots leaves 63 bits. */
export const depositsMinorMax = (accountSlots: number): bigint => (2n ** 63n - 1n) / BigInt(accountSlots)

/** price × amount of an order in tick × lot must stay exact as a number. */
export const TICK_LOTS_MAX = Number.MAX_SAFE_INTEGER
export const PRICE_TICKS_MAX = 2 ** 31 - 1
export const LOTS_MAX = Number.MAX_SAFE_INTEGER
