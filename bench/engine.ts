/** What a claim answers: which task, and the fencing token that every later write under it carries. */
export type Claim = { task: string; fence: number }

/** One connection that claims. */
export type Claimant = {
  /** Claims the next open task, durably; null when none is left. */
  claim(): Promise<Claim | null>
  /** Claims so many of the next open tasks with one question, durably; none when none is left. Not every engine can. */
  claimSeveral?(count: number): Promise<Claim[]>
  close(): Promise<void>
}

/** The client's side of an engine, in the process that makes the load. Everything goes through the engine's own sockets. */
export type Driver = {
  /** Adds open tasks, durably; not measured. */
  fill(tasks: readonly string[]): Promise<void>
  /** A connection of its own. `announce`: each claim is also told to whoever listens (an engine may always do so). */
  claimant(options: { announce: boolean }): Promise<Claimant>
  /** Calls back for each claim that any process makes, until the answer is called. Resolves once it listens. */
  listen(onClaim: (task: string) => void): Promise<() => unknown>
  /** Forgets what is there, where an engine gets slower with what it keeps. */
  clear?(): Promise<void>
  close(): Promise<void>
}

/** The server's side, in the process that conducts the bench. */
export type Engine = {
  readonly name: EngineName
  /** Handed to the drivers. */
  readonly address: Address
  /** null: it lives in the process that makes the load. */
  readonly pid: number | null
  /** All claims that the engine's own store holds; null where it keeps none that could be asked for. */
  stored(): Promise<Claim[] | null>
  stop(): Promise<void>
}

export type EngineName = "floor" | "loop" | "skein" | "http" | "redis" | "bullmq" | "postgres"
export type Address = Record<string, string>

/** Why an engine cannot take part, and what to do about it. */
export class Skipped extends Error {
  readonly remedy: string
  constructor(message: string, remedy: string) {
    super(message)
    this.name = "Skipped"
    this.remedy = remedy
  }
}
