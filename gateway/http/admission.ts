import type { Code } from '../codes.ts'
import type { Kind } from './endpoint.ts'

export interface AdmissionLimits {
  readonly inFlightMax: number
  readonly ordersPerSecondMax: number
}

/**
 * Decides before the token and the body are read whether there is room for a request, so that what is too much costs little.
 * Both caps are for the whole mesh and divided by the gateways that live.
 */
export interface Admission {
  /** `undefined`: come in, and `leave` afterwards. */
  enter(kind: Kind): Code | undefined
  leave(): void
  readonly inFlight: number
}

/** The last quarter of the room is for cancels (and health): who wants out gets out. */
const SHARE_OF_OTHERS = 0.75

export interface Surroundings {
  /** How many gateways live. */
  readonly gateways: () => number
  /** Whether there is no room for what an order would write. */
  readonly disksAreFull?: () => boolean
  readonly nowMs?: () => number
}

export function createAdmission(
  limits: AdmissionLimits,
  { gateways, disksAreFull = () => false, nowMs = () => performance.now() }: Surroundings,
): Admission {
  let inFlight = 0
  let orders = limits.ordersPerSecondMax
  let countedAtMs = nowMs()

  const takeOrder = (): boolean => {
    const perSecond = limits.ordersPerSecondMax / gateways()
    const now = nowMs()
    // A tenth of a second's worth may come at once.
    orders = Math.min(Math.max(1, perSecond / 10), orders + ((now - countedAtMs) / 1000) * perSecond)
    countedAtMs = now
    if (orders < 1) return false
    orders--
    return true
  }

  return {
    enter: (kind) => {
      const room = limits.inFlightMax / gateways()
      if (inFlight >= (kind === 'cancel' ? room : room * SHARE_OF_OTHERS)) return 'gateway_busy'
      if (kind === 'order') {
        if (disksAreFull()) return 'disk_full'
        if (!takeOrder()) return 'too_many_requests'
      }
      inFlight++
      return undefined
    },
    leave: () => {
      inFlight--
    },
    get inFlight() {
      return inFlight
    },
  }
}
