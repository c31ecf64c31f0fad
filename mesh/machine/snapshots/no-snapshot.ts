/** There is nothing to take a snapshot of, or it must not be kept. */
export class NoSnapshot extends Error {
  override readonly name = 'NoSnapshot'
  readonly code: 'nothing_new' | 'log_trimmed' | 'replay_differs' | 'snapshot_differs'

  constructor(code: NoSnapshot['code'], message: string) {
    super(message)
    this.code = code
  }
}
