/** The command line is not one that is understood. Its message says what would be. */
export class UsageError extends Error {
  override readonly name = 'UsageError'
}
