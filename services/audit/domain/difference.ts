/** What an audit may find, by the check that finds it. */
export type Check =
  | 'input_missing' // a frame covers an item that the log does not have
  | 'not_covered' // the log has an item between two frames
  | 'not_applied' // no frame covers the end of the log, and none comes
  | 'frame_missing'
  | 'frame_overlaps'
  | 'event_differs'
  | 'hash_differs'
  | 'header_differs'
  | 'rules_failed'
  | 'pair_gap'
  | 'pair_chain_differs'
  | 'pair_item_differs' // what the target's log holds is not what the sender's replay says
  | 'pair_item_unsent' // the target's log holds an item that the sender's replay never says
  | 'answered_twice'
  | 'not_answered'
  | 'outcome_unasked'
  | 'outcome_missing'
  | 'books_not_zero'
  | 'clearing_not_zero'
  | 'money_differs'
  | 'projection_behind'
  | 'projection_position_differs'
  | 'row_missing'
  | 'row_unknown'
  | 'row_differs'
  | 'totals_differ'

/** The first thing that is not as it should be. */
export class Difference extends Error {
  override readonly name = 'Difference'
  readonly check: Check
  /** `accounts-2`; empty where it concerns several. */
  readonly slot: string
  /** `<sequence>-<item>[-<event>]` in the slot's log; empty where there is none. */
  readonly position: string

  constructor(check: Check, place: { readonly slot: string; readonly position?: string }, message: string) {
    super(message)
    this.check = check
    this.slot = place.slot
    this.position = place.position ?? ''
  }
}

export const positionOf = ([sequence, item]: readonly [number, number]): string => `${sequence}-${item}`
