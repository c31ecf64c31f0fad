import type { Market } from './types.ts'

/** A market for tests: cents, thousandths, eight decimals of both assets. */
export const MARKET: Market = {
  instrument: 'BTC-USDT',
  base: 'BTC',
  quote: 'USDT',
  tick: '0.01',
  lot: '0.001',
  amountMin: '0.01',
  makerFeePpm: 1_000,
  takerFeePpm: 2_000,
  slippagePpm: 50_000,
  status: 'trading',
}
export const SCALES = (): number => 8
