import type { OperationName } from "../contract/names.ts"

/** Verbs that take something from somebody or cannot be taken back, each with what is lost by it: whoever does it says that this is meant. */
export const GRAVE: Readonly<Partial<Record<OperationName, string>>> = {
  "agent.retire": "It does not come back: its credentials are void, and its name is never given again.",
  "credential.revoke": "Whoever works by it is cut off at once.",
  "session.end": "What the session holds is open again for everybody, and what it still writes is refused.",
  "task.reset": "It is open again, with all its attempts; whoever has it loses it.",
  "task.cancel": "It is over for good, and nothing that depends on it can begin.",
  "task.fail": "Its attempt is over; without a further one nothing that depends on it can begin.",
  "task.release": "Whoever has it loses it: it is open again for everybody.",
  "lease.end": "Whoever has it loses it, and what they still write to it is refused.",
  "thread.overrideClose": "It is closed whatever is still open in it.",
  "files.release": "Others may write to the files at once.",
  "plan.cancel": "All of its tasks that are open are over for good.",
  "usage.refund": "Money that was spent counts as unspent from then on.",
  "breaker.trip": "Nothing that needs it is given to anybody until it closes.",
  "policy.set": "It holds at once, for every call of every agent.",
  "trigger.cancel": "The agent is not woken by it.",
  "account.exhausted": "No agent of the account is given work until then.",
  "permission.withdraw": "The agent that asks is refused.",
}
