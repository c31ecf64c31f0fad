import { RpcError } from '#mesh/rpc.ts'
import { CODES, type Code, isCode } from './codes.ts'
import type { Answer } from './http/endpoint.ts'

export interface ProblemDetails {
  /** Name of the field that the code is about. */
  readonly field?: string
  /** More words than the table has. */
  readonly message?: string
  readonly orderId?: number
  readonly clientOrderId?: string | undefined
  /** Sent as `Retry-After`. */
  readonly retryAfterSeconds?: number
}

/** What a client gets instead of an answer: `{code, message, field?, orderId?, clientOrderId?}`. */
export class Problem extends Error {
  override readonly name = 'Problem'
  readonly code: Code
  readonly details: ProblemDetails

  constructor(code: Code, details: ProblemDetails = {}, options?: ErrorOptions) {
    super(details.message ?? CODES[code].text, options)
    this.code = code
    this.details = details
  }

  get status(): number {
    return CODES[this.code].status
  }

  body(): string {
    return problemBody(this.code, this.details)
  }
}

export function problemBody(code: Code, details: ProblemDetails = {}): string {
  return JSON.stringify({
    code,
    message: details.message ?? CODES[code].text,
    field: details.field,
    orderId: details.orderId === undefined ? undefined : String(details.orderId),
    clientOrderId: details.clientOrderId,
  })
}

/** What another service refused, as the client gets it. A code that is not in the table is a fault of ours. */
export function problemOf(error: unknown): Problem {
  if (error instanceof Problem) return error
  if (!(error instanceof RpcError) || !isCode(error.code)) return new Problem('internal_error', {}, { cause: error })
  const field = error.details?.field
  const retryAfterS = error.details?.retryAfterS
  return new Problem(
    error.code,
    {
      // What is inside the mesh is no client's business.
      ...(CODES[error.code].status < 500 ? { message: error.message } : {}),
      ...(typeof field === 'string' && field !== '' ? { field } : {}),
      ...(typeof retryAfterS === 'number' ? { retryAfterSeconds: retryAfterS } : {}),
    },
    { cause: error },
  )
}

/** A refusal without the cost of an exception, for what clients often meet. */
export function problemAnswer(code: Code, details: ProblemDetails = {}): Answer {
  const { retryAfterSeconds } = details
  return {
    status: CODES[code].status,
    json: problemBody(code, details),
    code,
    ...(retryAfterSeconds === undefined ? {} : { headers: ['retry-after', String(retryAfterSeconds)] }),
  }
}
