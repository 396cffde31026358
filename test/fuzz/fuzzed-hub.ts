import { generateKeyPairSync } from "node:crypto"
import { type ErrorBody, ERRORS } from "../../src/contract/errors.ts"
import { decodeEntry, type Entry, ENTRY_MAX_BYTES } from "../../src/core/entry.ts"
import { toHex } from "../../src/core/hash.ts"
import { systemClock } from "../../src/hub/clock.ts"
import { openHub, type Hub } from "../../src/hub/hub.ts"
import type { Loop } from "../../src/hub/loop.ts"
import { replay } from "../../src/hub/replay.ts"
import { memorySnapshots } from "../../src/hub/snapshots.ts"
import { MemoryStore } from "../../src/ledger/memory.ts"
import { formatTreeHead, makeKey, parseSigner, signNote } from "../../src/ledger/note.ts"
import { sha256 } from "../../src/ledger/sha256.ts"
import { Auth, hashCredential, makeCredential, makeOperatorCredential } from "../../src/surface/auth.ts"
import { serve, type Served } from "../../src/surface/http.ts"
import type { SurfaceLog } from "../../src/surface/perform.ts"
import { Broken } from "./campaign.ts"

/** Whom a case may speak as: bearer texts by role, and some that are none. */
export type Bearers = { operator: string; worker: string; observer: string; token: string; session: string }

/** What is there, so that mutated requests still name things that exist. */
export type Known = { tasks: string[]; agents: string[]; sessions: string[]; plans: string[]; fences: number[]; labels: string[] }

const SIGNER = parseSigner(makeKey("log", "skein/fuzz/main", new Uint8Array(32).fill(7)).skey)
const KEY = generateKeyPairSync("ed25519").privateKey

/** A real hub on a memory ledger, served on loopback, with a team, a plan and work under way. */
export class FuzzedHub {
  readonly hub: Hub
  readonly served: Served
  readonly loop: Loop
  readonly bearers: Bearers
  readonly known: Known
  /** The header of a page that has signed in. */
  readonly cookie: string
  readonly #store: MemoryStore
  readonly #faults: string[]

  private constructor(parts: { hub: Hub; served: Served; loop: Loop; bearers: Bearers; known: Known; cookie: string; store: MemoryStore; faults: string[] }) {
    this.hub = parts.hub
    this.served = parts.served
    this.loop = parts.loop
    this.bearers = parts.bearers
    this.known = parts.known
    this.cookie = parts.cookie
    this.#store = parts.store
    this.#faults = parts.faults
  }

  static async open(): Promise<FuzzedHub> {
    const faults: string[] = []
    const log = faultLog(faults)
    const store = new MemoryStore()
    const stores = new Map([["main", store]])
    const hub = await openHub({
      clock: systemClock,
      sha256,
      openLedger: (name) => {
        const kept = stores.get(name) ?? new MemoryStore()
        stores.set(name, kept)
        return Promise.resolve(kept.open())
      },
      snapshots: memorySnapshots(),
      log,
      sign: (_workspace, { size, root }) =>
        Promise.resolve(signNote(formatTreeHead({ origin: SIGNER.verifier.name, size, root: Buffer.from(root, "hex") }), SIGNER)),
      fatal: (error) => faults.push(`the hub would have ended: ${String(error)}`),
      // Snapshots and checkpoints come while the cases run.
      limits: { snapshotEntries: 64, checkpointEntries: 64, checkpointMs: 200 },
    })
    const { credential: operator } = makeOperatorCredential()
    const auth = new Auth({ hub, key: KEY, operatorHash: hashCredential(operator), wallMs: () => Date.now() })
    const served = await serve({ hub, auth, log, version: "0", rate: { perSecond: 1e6, burst: 1e6 } })
    const loop = hub.workspace("main") as Loop
    const { credentials, ...known } = await populate(loop)
    const worker = credentials["ann"] as string
    const minted = await auth.exchange(worker, { workspace: null, session: known.sessions[0] as string })
    const bearers = { operator, worker, observer: credentials["oli"] as string, token: minted.token, session: known.sessions[0] as string }
    const { page } = auth
    const cookie = `${page.cookieName}=${(await page.redeem(page.makeLink().code)).value}`
    return new FuzzedHub({ hub, served, loop, bearers, known, cookie, store, faults })
  }

  get port(): number {
    return Number(new URL(this.served.url).port)
  }

  /** Throws the first fault that the hub told its log, and any change to what all objects inherit. */
  checkSound(): void {
    const fault = this.#faults.splice(0)[0]
    if (fault !== undefined) throw new Broken(fault)
    const polluted = Object.keys(Object.prototype)
    if (polluted.length > 0) {
      for (const key of polluted) delete (Object.prototype as Record<string, unknown>)[key]
      throw new Broken(`Object.prototype has got ${polluted.join(", ")}`)
    }
  }

  /** The first entry since `seq` that somebody else than the hub itself has written. */
  async writtenSince(seq: number): Promise<Entry | undefined> {
    const entries = await this.loop.entries(seq + 1, 1_000)
    // An export of telemetry is recorded call by call, on also when whoever sent it is gone: it is some earlier case's.
    return entries.map(({ bytes }) => decodeEntry(bytes)).find(({ actor, commandId }) => actor.agent !== "hub" && commandId?.startsWith("otlp.") !== true)
  }

  /** Throws where somebody else has written since `seq`: a refused request MUST leave no entry. */
  async checkUnwritten(seq: number): Promise<void> {
    const foreign = await this.writtenSince(seq)
    if (foreign !== undefined) throw new Broken(`a refused request wrote entry ${foreign.seq}: ${JSON.stringify(foreign).slice(0, 400)}`)
  }

  /** The hub goes down cleanly, and its ledger replays to the state that it had. */
  async close(): Promise<void> {
    await this.served.close()
    const live = await this.loop.read((state) => state.seq)
    await this.hub.close()
    this.checkSound()
    for (const { seq, bytes } of this.#store.entries)
      if (Buffer.byteLength(bytes) > ENTRY_MAX_BYTES) throw new Broken(`entry ${seq} is ${Buffer.byteLength(bytes)} bytes long`)
    const ledger = this.#store.open()
    const { entries, compared, chain } = await replay(ledger, sha256)
    await ledger.close()
    const wrong = compared.find(({ ok }) => !ok)
    if (wrong !== undefined) throw new Broken(`the checkpoint in entry ${wrong.seq} does not agree with a replay`)
    if (entries < live || chain.hash !== toHex(this.loop.head.hash)) throw new Broken(`the ledger replays to ${entries} entries, and the hub had ${live}`)
  }
}

/** Every fault of ours is told at level `error`; a caller that did wrong is not. */
function faultLog(faults: string[]): SurfaceLog {
  const ignore = (): void => undefined
  const error = (fields: object, text: string): void => {
    const { err } = fields as { err?: unknown }
    faults.push(`${text}: ${err instanceof Error ? err.stack : JSON.stringify(fields)}`)
  }
  return { debug: ignore, info: ignore, warn: ignore, error, isLevelEnabled: () => false }
}

/** A team, a plan and work under way. */
export async function populate(loop: Loop): Promise<Known & { credentials: Record<string, string> }> {
  const operator = { agent: "operator", session: null, role: "operator" } as const
  const credentials: Record<string, string> = {}
  for (const [name, role] of [
    ["ann", "worker"],
    ["ben", "worker"],
    ["oli", "observer"],
  ] as const) {
    await loop.execute("agent.add", operator, { name, role, maxActive: 50 })
    const made = makeCredential(name)
    await loop.execute("credential.issue", operator, { agent: name, id: made.id, hash: made.hash })
    credentials[name] = made.credential
  }
  const session = await loop.execute("session.start", operator, { id: "s_ann", agent: "ann", runtime: "script", resumeId: null, owned: false })
  const ann = { agent: "ann", session: session.session, role: "worker" } as const
  const { plan } = await loop.execute("plan.add", operator, {
    name: "site",
    title: "Site",
    digest: "00ff",
    commit: null,
    worktrees: false,
    maxActiveAgents: null,
    budgetMicroUsd: null,
    agents: [{ name: "cyd", start: false }],
    tasks: [
      { id: "one", title: "One" },
      { id: "two", title: "Two", dependsOn: ["one"], labels: ["x"] },
      { id: "three", title: "Three", review: true },
    ],
  })
  const fences: number[] = []
  for (const id of ["a", "b", "c"]) {
    await loop.execute("task.add", operator, { id, title: `Task ${id}`, labels: ["x"] })
    if (id !== "c") fences.push((await loop.execute("task.claim", ann, { task: id })).fence)
  }
  return {
    tasks: ["a", "b", "c", `${plan}/one`, `${plan}/two`, `${plan}/three`],
    agents: ["ann", "ben", "oli", "cyd"],
    sessions: [session.session],
    plans: [plan],
    fences,
    labels: ["x"],
    credentials,
  }
}

/** Throws unless this is an error as the contract documents them: a known code that is no fault of ours, words, and a remedy. */
export function checkErrorBody(body: unknown): ErrorBody["code"] {
  const { code, message, remedy, details } = (body ?? {}) as Partial<ErrorBody>
  const shown = JSON.stringify(body)?.slice(0, 300)
  if (typeof code !== "string" || !Object.hasOwn(ERRORS, code)) throw new Broken(`an error without a documented code: ${shown}`)
  if (code === "internal") throw new Broken(`an internal error was answered: ${shown}`)
  if (typeof message !== "string" || message === "" || typeof remedy !== "string" || remedy === "")
    throw new Broken(`an error without words or remedy: ${shown}`)
  if (typeof details !== "object") throw new Broken(`an error without details: ${shown}`)
  return code
}
