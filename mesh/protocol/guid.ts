import Type, { type Static } from 'typebox'

/** So many ids, at most, come in one block. */
export const BLOCK_COUNT_MAX = 65_536

/** What `Rpc.guidBlock` answers. Codes: `request_invalid`, `guid_unavailable` (the bound cannot be moved: try again). */
export const BlockRequest = Type.Object(
  { count: Type.Integer({ minimum: 1, maximum: BLOCK_COUNT_MAX }) },
  { additionalProperties: false },
)
export type BlockRequest = Static<typeof BlockRequest>

/** The ids first .. first + count − 1. `count` may be less than was asked for: ask again for the rest. */
export interface Block {
  readonly first: number
  readonly count: number
}
