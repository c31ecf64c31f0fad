/** Why nothing was started, in one readable line that says what would help. */
export class PreflightError extends Error {
  override readonly name = 'PreflightError'
  readonly code = 'preflight_failed'
}
