import { parseDecimal } from '#mesh/domain/money.ts'

/** From so much volume in thirty days on, a member is let off so much of the fees. */
export interface FeeTier {
  /** A decimal, in whole units of the asset. */
  readonly volume: string
  readonly discountPpm: number
}

/** The days that count, the present one not among them. */
export const TIER_DAYS = 30
/** One per cent is 10 000 parts per million. */
const PERCENT_SCALE = 4
const VOLUME_SCALE = 18
const PPM_MAX = 1_000_000

/**
 * `<volume>:<per cent off>`, several with commas: `100000:5,1000000:12.5`. Volumes and discounts grow.
 * @returns undefined for what is none
 */
export function parseFeeTiers(text: string): FeeTier[] | undefined {
  const tiers: FeeTier[] = []
  if (text.trim() === '') return tiers
  let before = { volume: -1n, ppm: 0 }
  for (const part of text.split(',')) {
    const [volume = '', percent = '', ...more] = part.trim().split(':')
    const units = parseDecimal(volume, VOLUME_SCALE)
    const ppmBig = parseDecimal(percent, PERCENT_SCALE)
    if (units === undefined || ppmBig === undefined || more.length > 0) return undefined
    const discountPpm = Number(ppmBig)
    if (units <= before.volume || discountPpm <= before.ppm || discountPpm > PPM_MAX) return undefined
    before = { volume: units, ppm: discountPpm }
    tiers.push({ volume, discountPpm })
  }
  return tiers
}

/** Of a volume in minor units of an asset with this scale. */
export function discountOf(tiers: readonly FeeTier[], volumeMinor: bigint, scale: number): number {
  let discountPpm = 0
  const volume = volumeMinor * 10n ** BigInt(VOLUME_SCALE)
  for (const tier of tiers) {
    const from = (parseDecimal(tier.volume, VOLUME_SCALE) ?? 0n) * 10n ** BigInt(scale)
    if (volume >= from) discountPpm = tier.discountPpm
  }
  return discountPpm
}
