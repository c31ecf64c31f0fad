import type { Interval } from '#mesh/protocol/stats.ts'

/** All times are whole seconds since 1970, UTC. */

const MINUTE_S = 60
const HOUR_S = 3_600
export const DAY_S = 86_400

/** Of those that are always as long. Counted from 1970-01-01, `3d` too. */
const LENGTH_S: Readonly<Record<Exclude<Interval, '1w' | '1M'>, number>> = {
  '1s': 1,
  '1m': MINUTE_S,
  '3m': 3 * MINUTE_S,
  '5m': 5 * MINUTE_S,
  '15m': 15 * MINUTE_S,
  '30m': 30 * MINUTE_S,
  '1h': HOUR_S,
  '2h': 2 * HOUR_S,
  '4h': 4 * HOUR_S,
  '6h': 6 * HOUR_S,
  '12h': 12 * HOUR_S,
  '1d': DAY_S,
  '3d': 3 * DAY_S,
}

const WEEK_S = 7 * DAY_S
/** The first Monday: 1970-01-05. */
const MONDAY_S = 4 * DAY_S

/** When the candle begins that this second belongs to. */
export function startOf(interval: Interval, second: number): number {
  if (interval === '1w') return Math.floor((second - MONDAY_S) / WEEK_S) * WEEK_S + MONDAY_S
  if (interval === '1M') return monthStart(monthOf(second))
  const lengthS = LENGTH_S[interval]
  return Math.floor(second / lengthS) * lengthS
}

/** When the one after it begins. */
export function nextStart(interval: Interval, startS: number): number {
  if (interval === '1w') return startS + WEEK_S
  if (interval === '1M') return monthStart(monthOf(startS) + 1)
  return startS + LENGTH_S[interval]
}

/** Days of the civil calendar, by months that begin with March, so that the day that comes and goes is the last one (Hinnant). */
const DAYS_PER_ERA = 146_097
const YEARS_PER_ERA = 400
const MARCH_0000_DAYS = 719_468

/** Months since January 1970. */
function monthOf(second: number): number {
  const days = Math.floor(second / DAY_S) + MARCH_0000_DAYS
  const era = Math.floor(days / DAYS_PER_ERA)
  const day = days - era * DAYS_PER_ERA
  const year = Math.floor((day - Math.floor(day / 1_460) + Math.floor(day / 36_524) - Math.floor(day / 146_096)) / 365)
  const dayOfYear = day - (365 * year + Math.floor(year / 4) - Math.floor(year / 100))
  const month = Math.floor((5 * dayOfYear + 2) / 153)
  return (era * YEARS_PER_ERA + year) * 12 + month + 2 - 1970 * 12
}

function monthStart(monthsSince1970: number): number {
  const months = monthsSince1970 + 1970 * 12 - 2
  const years = Math.floor(months / 12)
  const era = Math.floor(years / YEARS_PER_ERA)
  const year = years - era * YEARS_PER_ERA
  const dayOfYear = Math.floor((153 * (months - years * 12) + 2) / 5)
  const day = 365 * year + Math.floor(year / 4) - Math.floor(year / 100) + dayOfYear
  return (era * DAYS_PER_ERA + day - MARCH_0000_DAYS) * DAY_S
}
