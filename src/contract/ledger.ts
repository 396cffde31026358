import * as z from "zod"
import { operation } from "./operation.ts"
import { hex, seq } from "./schema.ts"

const stored = z.object({ seq, /** The entry as it was hashed. */ bytes: z.string(), hash: hex })
const entry = z.object({
  seq,
  atMs: z.int(),
  type: z.string(),
  v: z.int(),
  actor: z.object({ agent: z.string(), session: z.string().nullable(), role: z.string() }),
  commandId: z.string().nullable(),
  commandHash: z.string().nullable(),
  causedBy: seq.nullable(),
  data: z.unknown(),
})
const position = z.int().min(1)

export const ledgerOperations = {
  "ledger.head": operation({
    least: "observer",
    summary: "Where the ledger ends, and its latest checkpoint.",
    text: "`hash` is the chain hash of the last entry in hex; `note` the latest signed checkpoint with its cosignatures, null before the first.",
    errors: [],
    input: z.strictObject({}),
    output: z.object({ seq, hash: hex, note: z.string().nullable() }),
  }),
  "ledger.read": operation({
    least: "observer",
    summary: "Read entries as they are stored.",
    text: "From `from` on, at most `limit` entries and about 4 MiB. `next` is where to go on; null at the end. `bytes` are what was hashed: parse them, never re-encode them.",
    errors: [],
    input: z.strictObject({ from: position.default(1), limit: z.int().min(1).max(1_000).default(100) }),
    output: z.object({ entries: z.array(stored), next: seq.nullable() }),
  }),
  "ledger.why": operation({
    least: "observer",
    summary: "Why an entry is there: the chain of entries that led to it, newest first.",
    text: "Follows `causedBy` to its beginning, 1,000 entries at the most.",
    errors: ["not_found"],
    input: z.strictObject({ seq: position }),
    output: z.object({ entries: z.array(entry) }),
  }),
  "ledger.prove": operation({
    least: "observer",
    summary: "Prove an entry to outsiders.",
    text: "A self-contained proof (entry, RFC 6962 inclusion proof, signed checkpoint, cosignatures) that `skein ledger check` verifies without the hub. Only entries that a checkpoint covers can be proved: wait a second, or have the operator call `ledger.checkpoint`.",
    errors: ["not_found"],
    input: z.strictObject({ seq: position }),
    output: z.object({ format: z.literal("skein/inclusion-proof/v1"), seq, entry: z.string(), inclusion: z.array(z.string()), checkpoint: z.string() }),
  }),
  "ledger.consistency": operation({
    least: "observer",
    summary: "Prove that the ledger of one size only grew into that of another.",
    text: "An RFC 6962 consistency proof from size `from` to size `to`; hashes in base64. This is what a witness asks for before it cosigns.",
    errors: ["not_found", "invalid"],
    input: z.strictObject({ from: seq, to: seq }),
    output: z.object({ from: seq, to: seq, proof: z.array(z.string()) }),
  }),
  "ledger.checkpoint": operation({
    least: "operator",
    summary: "Make a signed checkpoint now.",
    text: "Records size, root and state digest through the entry before it, signed by the hub.",
    errors: ["overloaded", "storage_refused"],
    input: z.strictObject({}),
    output: z.object({ size: seq, root: hex, digest: z.string(), note: z.string() }),
  }),
  "ledger.snapshots": operation({
    least: "observer",
    summary: "List the snapshots of the state.",
    text: "Fetch one with `GET /snapshots/WORKSPACE/SEQ`: start from it instead of from the first entry; with `?records` it comes without what the hub remembers of commands. `rungs` are where the steps of the past end, each beginning where the one before it ends: `GET /back/WORKSPACE/FROM/TO` gives what leads from one back to another.",
    errors: [],
    input: z.strictObject({}),
    output: z.object({ snapshots: z.array(z.object({ seq })), rungs: z.array(z.object({ seq })) }),
  }),
}
