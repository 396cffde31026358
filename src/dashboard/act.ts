import { type Signal, signal } from "@preact/signals"
import { SkeinError } from "../contract/errors.ts"
import type { KINDS, OperationName } from "../contract/names.ts"
import type { Input, Output } from "../contract/operations.ts"
import { ask } from "./live.ts"
import { isNow } from "./moment.ts"
import { failureText } from "./failure.ts"
import { Resend } from "./resend.ts"

/** Operations that change something. */
export type Deed = { [Name in OperationName]: (typeof KINDS)[Name] extends "command" | "action" ? Name : never }[OperationName]

/** What is asked before something is done. `reason`: whether the contract takes one; it is put into the input as `reason`. */
export type Question = {
  title: string
  /** What will happen, in a sentence. */
  text: string
  /** The word on the button: what it does, never "OK". */
  verb: string
  /** It takes something from somebody, or cannot be taken back. */
  isGrave?: boolean
  reason?: "required" | "optional"
  /** The field of the input that takes it, where that is not `reason`. */
  reasonAs?: string
}

export type Asking = Question & { refusal: SkeinError | null; isAtWork: boolean; answer(agreed: { reason: string } | null): void }
export type Notice = { id: number; kind: "done" | "refused"; text: string; remedy: string }

/** The question that is open; null: none. The shell shows it. */
export const asking: Signal<Asking | null> = signal(null)
/** What was done or refused lately. The shell shows them; a refusal stays until it is dismissed. */
export const notices: Signal<readonly Notice[]> = signal([])

const DONE_SHOWN_MS = 6_000
/** Of what is done faster than that, the last few: the view must not lie behind them. */
const DONE_MAX = 3
let nextId = 1

/**
 * The one way to change something. With a question it is asked first, and a refusal is shown beside it, so that it can be answered again; without one
 * it is done at once. Answers what the hub answered; null where it was not done, which the page has told by then. Never optimistic: what a view
 * shows comes from the ledger alone.
 */
export async function act<Name extends Deed>(name: Name, input: NoInfer<InputOf<Name>>, question?: Question): Promise<Output<Name> | null> {
  if (question === undefined || !isNow.peek()) {
    try {
      return await carryOut(name, input as Input<Name>)
    } catch (error) {
      tellRefusal(error)
      return null
    }
  }
  let refusal: SkeinError | null = null
  const resend = new Resend()
  for (;;) {
    const agreed = await put(question, refusal)
    if (agreed === null) return null
    const withReason = question.reason === undefined || agreed.reason === "" ? input : { ...input, [question.reasonAs ?? "reason"]: agreed.reason }
    try {
      const output = await carryOut(name, withReason as Input<Name>, resend.keyOf(withReason))
      asking.value = null
      tell({ kind: "done", text: `${question.title}: done`, remedy: "" })
      return output
    } catch (error) {
      resend.cameTo(error)
      refusal = asError(error)
    }
  }
}

/**
 * What `act` does in the end, for forms that show the outcome themselves. `key`: that of an earlier call which may have been carried out. Rejects with
 * `SkeinError`, as in the past, where nothing can be changed.
 */
export function carryOut<Name extends Deed>(name: Name, input: Input<Name>, key?: string): Promise<Output<Name>> {
  if (isNow.peek()) return ask(name, input, key)
  return Promise.reject(new SkeinError("invalid", "this is the past: nothing can be changed in it", "Go back to now, and act there."))
}

/** What is given besides the reason, which the question may ask for. */
type InputOf<Name extends Deed> = Omit<Input<Name>, "reason"> & Partial<Pick<Input<Name>, Extract<keyof Input<Name>, "reason">>>

/** Tells what happened, in a live region. */
export function tell(notice: Omit<Notice, "id">): void {
  const id = nextId
  nextId += 1
  const older = notices.value.filter(({ kind }) => kind === "done").slice(0, -(DONE_MAX - 1))
  notices.value = [...notices.value.filter((one) => !older.includes(one)), { ...notice, id }]
  if (notice.kind === "done") setTimeout(() => dismiss(id), DONE_SHOWN_MS)
}

export function dismiss(id: number): void {
  notices.value = notices.value.filter((notice) => notice.id !== id)
}

/** Tells why something was not done, and what to do about it. */
export function tellRefusal(error: unknown): void {
  const { message, remedy } = asError(error)
  tell({ kind: "refused", text: message, remedy })
}

/** Shows the question, and waits for its answer; while what was agreed to is at work it stays. */
function put(question: Question, refusal: SkeinError | null): Promise<{ reason: string } | null> {
  return new Promise((resolve) => {
    const open: Asking = {
      ...question,
      refusal,
      isAtWork: false,
      answer: (agreed) => {
        asking.value = agreed === null ? null : { ...open, refusal: null, isAtWork: true }
        resolve(agreed)
      },
    }
    asking.value = open
  })
}

function asError(error: unknown): SkeinError {
  return error instanceof SkeinError ? error : new SkeinError("internal", failureText(error), "Load the page again.")
}
