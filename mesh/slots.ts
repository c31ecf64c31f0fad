/** The account slot of a member: a fixed hash of the id, so it never moves while the number of slots stays. */
export function accountSlotOf(memberId: number, accountSlots: number): number {
  const low = memberId >>> 0
  const high = Math.floor(memberId / 4294967296) >>> 0
  let mixed = Math.imul(low ^ 0x9e3779b9, 0x85ebca6b) ^ Math.imul(high ^ 0xc2b2ae35, 0x27d4eb2f)
  mixed = Math.imul(mixed ^ (mixed >>> 15), 0x2c1b3c6d)
  mixed = Math.imul(mixed ^ (mixed >>> 12), 0x297a2d39)
  return ((mixed ^ (mixed >>> 15)) >>> 0) % accountSlots
}
