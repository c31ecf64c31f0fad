import { formatDecimal, parseDecimal } from '#mesh/domain/money.ts'

/** A step in which prices or amounts are counted: `units` × 10^−`scale`, with no trailing zeros in `units`' decimals. */
export interface Step {
  readonly scale: number
  /** Whole and safe; a step whose units are beyond 2^53 keeps them in `unitsBig` alone and has 0 here. */
  readonly units: number
  readonly unitsBig: bigint
}

export type DecimalFault = 'decimal_invalid' | 'not_positive' | 'too_many_decimals' | 'off_step' | 'too_large'

/** `"0.0500"` is 5 × 10^−2. Throws on what is no positive decimal: steps come from definitions that were checked. */
export function stepOf(text: string): Step {
  const trimmed = text.includes('.') ? text.replace(/\.?0+$/, '') : text
  const point = trimmed.indexOf('.')
  const scale = point < 0 ? 0 : trimmed.length - point - 1
  const unitsBig = parseDecimal(trimmed, scale)
  if (unitsBig === undefined || unitsBig === 0n) throw new RangeError(`"${text}" is no step.`)
  return { scale, unitsBig, units: unitsBig <= Number.MAX_SAFE_INTEGER ? Number(unitsBig) : 0 }
}

const ZERO = 48
const NINE = 57
const POINT = 46
const MINUS = 45
const CHARS_MAX = 40

/** How many steps a plain decimal is: 1..`stepsMax` (at most 2^53−1), or what is wrong with it. */
export function parseSteps(text: string, step: Step, stepsMax: number): number | DecimalFault {
  const length = text.length
  if (length === 0 || length > CHARS_MAX) return 'decimal_invalid'
  const start = text.charCodeAt(0) === MINUS ? 1 : 0
  let point = -1
  let units = 0
  let end = start
  // Digits behind the last one that is not a zero count for nothing, so `units` follows only up to `end`.
  let zeros = 0
  for (let index = start; index < length; index++) {
    const char = text.charCodeAt(index)
    if (char === POINT) {
      if (point >= 0 || index === start || index === length - 1) return 'decimal_invalid'
      point = index
      for (; zeros > 0; zeros--) units *= 10
      end = index
    } else if (char < ZERO || char > NINE) {
      return 'decimal_invalid'
    } else if (char === ZERO) {
      zeros++
    } else {
      for (; zeros > 0; zeros--) units *= 10
      units = units * 10 + (char - ZERO)
      end = index + 1
    }
  }
  if (text.charCodeAt(start) === ZERO && length > start + 1 && point !== start + 1) return 'decimal_invalid'
  if (start === length) return 'decimal_invalid'
  if (point < 0) for (; zeros > 0; zeros--) units *= 10
  if (start === 1 || units === 0) return 'not_positive'
  const decimals = point < 0 || end <= point ? 0 : end - point - 1
  if (decimals > step.scale) return 'too_many_decimals'
  for (let index = decimals; index < step.scale; index++) units *= 10
  if (units > Number.MAX_SAFE_INTEGER || step.units === 0) return parseBigSteps(text, step, stepsMax)
  const steps = units / step.units
  if (steps !== Math.floor(steps)) return 'off_step'
  return steps > stepsMax ? 'too_large' : steps
}

function parseBigSteps(text: string, step: Step, stepsMax: number): number | DecimalFault {
  const units = parseDecimal(text, step.scale)
  if (units === undefined) return 'decimal_invalid'
  if (units % step.unitsBig !== 0n) return 'off_step'
  const steps = units / step.unitsBig
  return steps > BigInt(stepsMax) ? 'too_large' : Number(steps)
}

/** An amount of an asset in its minor units, above zero, or what is wrong with it. */
export function parseMinor(text: string, scale: number): bigint | DecimalFault {
  const plain = text.startsWith('-') ? text.slice(1) : text
  const units = parseDecimal(plain, scale)
  if (units === undefined) return parseDecimal(plain, CHARS_MAX) === undefined ? 'decimal_invalid' : 'too_many_decimals'
  if (plain !== text || units === 0n) return 'not_positive'
  return units
}

const POWERS = Array.from({ length: 16 }, (_, scale) => 10 ** scale)

/** So many steps as a decimal with no trailing zeros. */
export function formatSteps(steps: number, step: Step): string {
  const units = steps * step.units
  if (units > Number.MAX_SAFE_INTEGER || step.units === 0 || step.scale > 15) {
    return formatDecimal(BigInt(steps) * step.unitsBig, step.scale)
  }
  return formatUnits(units, step.scale)
}

/** Whole, safe, not negative units of 10^−scale (at most 15 places) as a decimal with no trailing zeros. */
function formatUnits(units: number, scale: number): string {
  if (scale === 0) return String(units)
  const power = POWERS[scale] ?? 1
  const whole = Math.floor(units / power)
  const fraction = units - whole * power
  return fraction === 0 ? String(whole) : `${whole}.${trimZeros(String(fraction).padStart(scale, '0'))}`
}

/** Minor units, an optionally negative decimal integer, as a decimal with no trailing zeros. */
export function formatMinor(minor: string, scale: number): string {
  if (scale === 0 || minor === '0') return minor
  if (minor.charCodeAt(0) === MINUS) return `-${formatMinor(minor.slice(1), scale)}`
  const digits = minor.length > scale ? minor : minor.padStart(scale + 1, '0')
  const fraction = trimZeros(digits.slice(digits.length - scale))
  const whole = digits.slice(0, digits.length - scale)
  return fraction === '' ? whole : `${whole}.${fraction}`
}

function trimZeros(digits: string): string {
  let end = digits.length
  while (end > 0 && digits.charCodeAt(end - 1) === ZERO) end--
  return end === digits.length ? digits : digits.slice(0, end)
}
