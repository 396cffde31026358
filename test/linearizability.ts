/**
 * Whether a concurrent history could have happened one operation after the other: the search of Wing & Gong (1993) with the memory of Lowe (2017),
 * "Testing for linearizability". A history is checked object by object (Herlihy & Wing 1990: linearizability is local).
 */

/** One call of one process. `called` and `returned` number the moments of a history; `returned` is null where no answer came: it may have happened, or not. */
export type Operation<Input, Output> = { process: string; called: number; returned: number | null; input: Input; output: Output | null }

export type Model<State, Input, Output> = {
  start: State
  /** The states that the operation may lead to, none where it cannot have had this answer; `output` is null where the answer is not known. */
  next(state: State, input: Input, output: Output | null): readonly State[]
  /** The same text for the same state, and for no other. */
  text(state: State): string
}

export type Verdict<Input, Output> =
  | { linearizable: true }
  | { linearizable: false; /** What is left where the longest order breaks off. */ stuck: Operation<Input, Output>[] }

export function check<State, Input, Output>(history: readonly Operation<Input, Output>[], model: Model<State, Input, Output>): Verdict<Input, Output> {
  const operations = [...history].sort((a, b) => a.called - b.called)
  const seen = new Set<string>()
  const everyAnswered = operations.reduce((bits, { returned }, at) => (returned === null ? bits : bits | (1n << BigInt(at))), 0n)
  const stack: { done: bigint; state: State }[] = [{ done: 0n, state: model.start }]
  let furthest = { done: 0n, count: -1 }
  for (let top = stack.pop(); top !== undefined; top = stack.pop()) {
    const { done, state } = top
    if ((done & everyAnswered) === everyAnswered) return { linearizable: true }
    const count = operations.reduce((sum, _, at) => sum + (isIn(done, at) ? 1 : 0), 0)
    if (count > furthest.count) furthest = { done, count }
    // Whatever was called after somebody had his answer comes after him.
    let earliestReturn = Number.POSITIVE_INFINITY
    for (const [at, { returned }] of operations.entries()) if (returned !== null && returned < earliestReturn && !isIn(done, at)) earliestReturn = returned
    for (const [at, { called, input, output }] of operations.entries()) {
      if (called > earliestReturn) break
      if (isIn(done, at)) continue
      const after = done | (1n << BigInt(at))
      for (const next of model.next(state, input, output)) {
        const place = `${after.toString(36)} ${model.text(next)}`
        if (seen.has(place)) continue
        seen.add(place)
        stack.push({ done: after, state: next })
      }
    }
  }
  return { linearizable: false, stuck: operations.filter((_, at) => !isIn(furthest.done, at)) }
}

function isIn(bits: bigint, at: number): boolean {
  return ((bits >> BigInt(at)) & 1n) === 1n
}

/** Splits a history by the object that each operation is about. */
export function byObject<Input, Output>(
  history: readonly Operation<Input, Output>[],
  objectOf: (input: Input) => string,
): Map<string, Operation<Input, Output>[]> {
  const parts = new Map<string, Operation<Input, Output>[]>()
  for (const operation of history) {
    const object = objectOf(operation.input)
    const part = parts.get(object)
    if (part === undefined) parts.set(object, [operation])
    else part.push(operation)
  }
  return parts
}

// A task as its callers see it

export type TaskInput =
  | { task: string; op: "claim"; agent: string }
  | { task: string; op: "complete" | "release"; agent: string; fence: number }
  /** The hub ends a lease: no caller asked for it, the ledger says so. */
  | { task: string; op: "expire"; fence: number }
export type TaskOutput = { fence: number } | "done" | { refused: string }
/** `fence` is null where the claim's answer was lost; `last` is the greatest fence so far. */
export type TaskState = { status: "open" | "held" | "completed"; owner: string | null; fence: number | null; last: number }

/** What nobody hears who writes under the fence that holds. */
const REFUSED_WRITES: ReadonlySet<string> = new Set(["stale_fence", "not_owner", "wrong_status"])

/** The task is there from the start. One holder at a time, greater fences for later claims, and no write but under the fence that holds. */
export const taskModel: Model<TaskState, TaskInput, TaskOutput> = {
  start: { status: "open", owner: null, fence: null, last: 0 },
  text: ({ status, owner, fence, last }) => `${status} ${owner} ${fence} ${last}`,
  next(state, input, output) {
    if (input.op === "claim") return claim(state, input.agent, output)
    const after: TaskState = { status: input.op === "complete" ? "completed" : "open", owner: null, fence: null, last: Math.max(state.last, input.fence) }
    const holds = state.status === "held" && (state.fence === null ? input.fence > state.last : state.fence === input.fence)
    if (input.op === "expire") return holds ? [after] : []
    const mayWrite = holds && state.owner === input.agent
    if (output === null) return mayWrite ? [state, after] : [state]
    if (output === "done") return mayWrite ? [after] : []
    const says = typeof output === "object" && "refused" in output ? output.refused : ""
    return REFUSED_WRITES.has(says) && mayWrite ? [] : says === "not_found" ? [] : [state]
  },
}

function claim(state: TaskState, agent: string, output: TaskOutput | null): readonly TaskState[] {
  if (output === null) return state.status === "open" ? [state, { ...state, status: "held", owner: agent, fence: null }] : [state]
  if (typeof output === "object" && "fence" in output) {
    if (state.status === "open" && output.fence > state.last) return [{ status: "held", owner: agent, fence: output.fence, last: output.fence }]
    // Holding it already is no error: the same claim is answered again.
    const again = state.status === "held" && state.owner === agent && (state.fence === output.fence || (state.fence === null && output.fence > state.last))
    return again ? [{ ...state, fence: output.fence, last: output.fence }] : []
  }
  const says = typeof output === "object" ? output.refused : ""
  // A later session of the same agent is denied what an earlier one holds.
  if (says === "claim_denied") return state.status === "held" ? [state] : []
  if (says === "wrong_status") return state.status === "completed" ? [state] : []
  return [state]
}
