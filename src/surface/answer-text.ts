import type { OperationName } from "../contract/names.ts"
import type { Claimed } from "../core/answer.ts"
import { claimsText } from "../core/claim-text.ts"

const CLAIM_NEXT: OperationName = "task.claimNext"

/** What an operation answered, as JSON: character for character what `JSON.stringify` says of it. */
export function answerText(operation: string, answer: unknown): string {
  return operation === CLAIM_NEXT ? `{"claims":${claimsText((answer as { claims: Claimed[] }).claims)}}` : JSON.stringify(answer)
}
