/** Decimals of eight places at most, as whole numbers of 10^-8: "0.5" is 50 000 000. */
export const UNIT = 100_000_000
const PLACES = 8

/** Exact below 2^53. */
export function unitsOf(text: string): number {
  const [whole = '', fraction = ''] = text.split('.')
  return Number(whole + fraction.slice(0, PLACES).padEnd(PLACES, '0'))
}

export function decimalOf(units: number): string {
  const digits = String(units).padStart(PLACES + 1, '0')
  return `${digits.slice(0, -PLACES)}.${digits.slice(-PLACES)}`.replace(/\.?0+$/, '')
}
