import { generateKeyPairSync, type KeyObject, randomBytes } from "node:crypto"
import { pino } from "pino"
import type { Profile } from "../core/agent.ts"
import { fromHex } from "../core/hash.ts"
import { systemClock } from "../hub/clock.ts"
import { type Hub, type Limits, openHub } from "../hub/hub.ts"
import type { Loop } from "../hub/loop.ts"
import type { SnapshotStore } from "../hub/snapshots.ts"
import { MemoryStore } from "../ledger/memory.ts"
import type { Ledger } from "../ledger/ledger.ts"
import { formatTreeHead, makeKey, parseSigner, parseVerifier, signNote } from "../ledger/note.ts"
import { sha256 } from "../ledger/sha256.ts"
import { Auth, makeCredential, makeOperatorCredential, OPERATOR } from "./auth.ts"
import type { SignOutStore } from "./sign-outs.ts"
import { serve, type Served, type ServeOptions } from "./http.ts"

/** A hub with everything real but its disk, served on a free port; `restart` brings up another one on the same ledgers. */

export type Instance = {
  url: string
  hub: Hub
  auth: Auth
  loop: Loop
  operator: string
  /** Signs tokens; a test may sign what the hub never would. */
  key: KeyObject
  vkey: string
  lines: string[]
  /** Moves the wall clock that tokens are judged by, in ms. */
  wall: { aheadMs: number }
  /** Adds an agent with a credential, straight through the loop. */
  agent(name: string, profile?: Partial<Profile>, workspace?: string): Promise<string>
  stop(): Promise<void>
  restart(): Promise<void>
  close(): Promise<void>
}

export type InstanceOptions = Partial<Omit<ServeOptions, "hub" | "auth" | "log">> & {
  limits?: Partial<Limits>
  openLedger?: (workspace: string) => Promise<Ledger>
  level?: string
  /** Where snapshots are kept; by default nowhere. */
  snapshots?: SnapshotStore
  ladder?: SnapshotStore
  /** Where sign-outs are kept; by default in memory alone. */
  signOuts?: SignOutStore
}

const NO_SNAPSHOTS: SnapshotStore = {
  keep: async () => undefined,
  open: () => Promise.resolve(null),
  drop: async () => undefined,
  list: () => Promise.resolve([]),
}

export async function startInstance({
  limits,
  openLedger,
  level = "debug",
  snapshots = NO_SNAPSHOTS,
  ladder,
  signOuts,
  ...options
}: InstanceOptions = {}): Promise<Instance> {
  const stores = new Map<string, MemoryStore>()
  const { privateKey: key } = generateKeyPairSync("ed25519")
  const operator = makeOperatorCredential()
  const { skey, vkey } = makeKey("log", "skein/test/main", randomBytes(32))
  const signer = parseSigner(skey)
  parseVerifier(vkey)
  const lines: string[] = []
  const log = pino({ level }, { write: (line: string) => void lines.push(line) })
  const wall = { aheadMs: 0 }
  let port = options.port ?? 0
  let running: { hub: Hub; auth: Auth; served: Served } | null = null

  const start = async (): Promise<void> => {
    const hub = await openHub(
      {
        clock: systemClock,
        sha256,
        log,
        openLedger:
          openLedger ??
          ((workspace) => {
            const store = stores.get(workspace) ?? new MemoryStore()
            stores.set(workspace, store)
            return Promise.resolve(store.open())
          }),
        snapshots,
        ...(ladder === undefined ? {} : { ladder }),
        sign: (_, { size, root }) => Promise.resolve(signNote(formatTreeHead({ origin: signer.verifier.name, size, root: fromHex(root) }), signer)),
        fatal: (error) => {
          throw error
        },
        ...(limits === undefined ? {} : { limits }),
      },
      ["main"],
    )
    const auth = new Auth({ hub, key, operatorHash: operator.hash, wallMs: () => Date.now() + wall.aheadMs, ...(signOuts === undefined ? {} : { signOuts }) })
    const served = await serve({ version: "0.0.0-test", ...options, hub, auth, log, port })
    port = Number(new URL(served.url).port)
    running = { hub, auth, served }
  }
  const now = (): { hub: Hub; auth: Auth; served: Served } => {
    if (running === null) throw new Error("the instance is stopped")
    return running
  }
  const stop = async (): Promise<void> => {
    const { hub, served } = now()
    running = null
    // In this order, as the hub's process does.
    await served.close()
    await hub.close()
  }
  await start()
  return {
    get url() {
      return `http://127.0.0.1:${port}`
    },
    get hub() {
      return now().hub
    },
    get auth() {
      return now().auth
    },
    get loop() {
      return now().hub.workspace("main")!
    },
    operator: operator.credential,
    key,
    vkey,
    lines,
    wall,
    agent: async (name, profile = {}, workspace = "main") => {
      const loop = now().hub.workspace(workspace)!
      const actor = { agent: OPERATOR, session: null, role: "operator" as const }
      await loop.execute("agent.add", actor, { name, ...profile })
      const { credential, id, hash } = makeCredential(name)
      await loop.execute("credential.issue", actor, { agent: name, id, hash })
      return credential
    },
    stop,
    restart: async () => {
      if (running !== null) await stop()
      await start()
    },
    close: async () => {
      if (running !== null) await stop()
    },
  }
}
