/** Pieces that are kept for later, at most, and their sizes: made anew each time, they would have the collector run several times a second. */
const SPARE_MAX = 32
const BYTES_MIN = 16 * 1024
const spare: Buffer[] = []

/** Memory of at least so many bytes, with anything in it. */
export function takeMemory(bytes: number): Buffer {
  const index = spare.findLastIndex(({ length }) => length >= bytes)
  const [found] = index < 0 ? [] : spare.splice(index, 1)
  return found ?? Buffer.allocUnsafeSlow(Math.max(BYTES_MIN, 2 ** Math.ceil(Math.log2(bytes))))
}

/** Nobody reads or writes it any more. */
export function giveBack(memory: Buffer): void {
  if (memory.length < BYTES_MIN) return
  if (spare.length === SPARE_MAX) spare.shift()
  spare.push(memory)
}
