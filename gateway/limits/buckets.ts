/** A token bucket per key, counted here and settled with the other gateways from time to time. */
export interface Buckets {
  /** Takes one token. 0: taken; else the whole seconds after which there is one. */
  take(key: string | number): number
  /** What was taken since the last call, to be settled elsewhere. */
  spent(): readonly Spent[]
  /** The level that all gateways share, after what `spent` told; what was taken meanwhile is still to come. */
  settle(key: string | number, sharedLevel: number): void
  /** Forgets who has a full bucket again. */
  sweep(): void
  readonly size: number
}

export interface Spent {
  readonly key: string | number
  readonly tokens: number
}

interface State {
  readonly key: string | number
  level: number
  atMs: number
  /** Since the last settlement. */
  spent: number
}

export interface BucketRule {
  readonly perSecond: number
  readonly burst: number
}

export function createBuckets(rule: BucketRule, nowMs: () => number = () => performance.now()): Buckets {
  const { perSecond, burst } = rule
  const perMs = perSecond / 1000
  const states = new Map<string | number, State>()
  let touched: State[] = []

  return {
    take: (key) => {
      const now = nowMs()
      let state = states.get(key)
      if (state === undefined) {
        state = { key, level: burst, atMs: now, spent: 0 }
        states.set(key, state)
      } else {
        state.level = Math.min(burst, state.level + (now - state.atMs) * perMs)
        state.atMs = now
      }
      if (state.level < 1) return Math.ceil((1 - state.level) / perSecond)
      state.level--
      if (state.spent++ === 0) touched.push(state)
      return 0
    },
    spent: () => {
      const spent = touched.map(({ key, spent }) => ({ key, tokens: spent }))
      for (const state of touched) state.spent = 0
      touched = []
      return spent
    },
    settle: (key, sharedLevel) => {
      const state = states.get(key)
      if (state === undefined) return
      state.level = Math.min(burst, sharedLevel - state.spent)
      state.atMs = nowMs()
    },
    sweep: () => {
      const now = nowMs()
      for (const [key, state] of states) {
        if (state.spent === 0 && state.level + (now - state.atMs) * perMs >= burst) states.delete(key)
      }
    },
    get size() {
      return states.size
    },
  }
}
