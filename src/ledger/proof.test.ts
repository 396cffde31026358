import fc from "fast-check"
import { describe, expect, it } from "vitest"
import { Chain } from "../core/chain.ts"
import { consistencyPath, Frontier } from "../core/merkle.ts"
import { makeEntries } from "../../test/ledger-entries.ts"
import { KeptTree } from "./kept-tree.ts"
import { MemoryStore, type MemoryLedger } from "./memory.ts"
import { addSignatures, cosign, formatTreeHead, makeKey, parseNote, parseSigner, parseVerifier, signNote } from "./note.ts"
import { check, isConsistent, prove, proveConsistency, type InclusionProof } from "./proof.ts"
import { sha256 } from "./sha256.ts"

const LOG = makeKey("log", "skein/main", Buffer.alloc(32, 1))
const W1 = makeKey("witness", "w1.example", Buffer.alloc(32, 2))
const W2 = makeKey("witness", "w2.example", Buffer.alloc(32, 3))
const [log, w1, w2] = [LOG, W1, W2].map(({ vkey }) => parseVerifier(vkey)) as [
  ReturnType<typeof parseVerifier>,
  ReturnType<typeof parseVerifier>,
  ReturnType<typeof parseVerifier>,
]

/** A ledger of `size` entries, the frontier and the root after each, and the signed checkpoint over all, cosigned by w1. */
async function ledgerOf(size: number): Promise<{ ledger: MemoryLedger; chain: Chain; note: string; frontiers: Frontier[] }> {
  const ledger = new MemoryStore().open()
  const chain = new Chain(sha256)
  const frontiers = [chain.frontier()]
  for (let i = 0; i < size; i++) {
    await ledger.append(i, makeEntries(chain, 1))
    chain.commit()
    frontiers.push(chain.frontier())
  }
  const signed = signNote(formatTreeHead({ origin: "skein/main", size, root: chain.root() }), parseSigner(LOG.skey))
  const note = addSignatures(signed, [cosign(parseNote(signed).text, parseSigner(W1.skey), 1_700_000_000_000)])
  return { ledger, chain, note, frontiers }
}

describe("a proof for outsiders", () => {
  it("holds for every entry, offline, with nothing but the public keys, and says who cosigned and when", async () => {
    const { ledger, note } = await ledgerOf(23)
    for (let seq = 1; seq <= 23; seq++) {
      const proof: unknown = JSON.parse(JSON.stringify(await prove(ledger, seq, note)))
      const checked = check(proof, { log: [log], witnesses: [w1, w2], quorum: 1 })
      expect(checked).toMatchObject({ ok: true, seq, head: { origin: "skein/main", size: 23 }, signedBy: ["skein/main"], entry: { seq, type: "task.added" } })
      expect(checked.ok && checked.cosignedBy).toEqual([{ name: "w1.example", atMs: 1_700_000_000_000 }])
    }
  })

  it("does not hold with one thing changed, and says which", async () => {
    const { ledger, note } = await ledgerOf(23)
    const other = await ledgerOf(22)
    const proof = await prove(ledger, 7, note)
    const trust = { log: [log], witnesses: [w1] }
    const forged = (change: Partial<Record<keyof InclusionProof, unknown>>): string => {
      const checked = check({ ...proof, ...change }, trust)
      return checked.ok ? "accepted" : checked.reason
    }
    expect(forged({})).toBe("accepted")
    expect(forged({ entry: proof.entry.replace("entry 7", "entry 8") })).toContain("not in the tree")
    expect(forged({ seq: 8 })).toContain("not in the tree")
    expect(forged({ seq: 0 })).toContain("not in the tree")
    expect(forged({ inclusion: proof.inclusion.slice(1) })).toContain("not in the tree")
    expect(forged({ inclusion: [...proof.inclusion, proof.inclusion[0]] })).toContain("not in the tree")
    expect(forged({ inclusion: ["AAAA"] })).toContain("not a list of hashes")
    expect(forged({ inclusion: [1, null] })).toContain("not a list of hashes")
    expect(forged({ checkpoint: other.note })).toContain("not in the tree")
    expect(forged({ checkpoint: note.replace("\n23\n", "\n24\n") })).toContain("not to be trusted")
    expect(forged({ checkpoint: "hello" })).toContain("not to be trusted")
    expect(forged({ format: "skein/inclusion-proof/v2" })).toContain("no proof of the format")
    expect(forged({ entry: "x".repeat(70_000) })).toContain("too long")
    expect(forged({ entry: 7 })).toContain("lacks a field")
    for (const nonsense of [null, 7, "proof", [], {}]) expect(check(nonsense, trust).ok).toBe(false)
  })

  it("asks for the log's own signature, and for as many cosignatures as the caller wants", async () => {
    const { ledger, note } = await ledgerOf(5)
    const proof = await prove(ledger, 2, note)
    expect(check(proof, { log: [], witnesses: [w1] })).toEqual({ ok: false, reason: "the checkpoint is not signed by the log's key" })
    expect(check(proof, { log: [log], witnesses: [w1, w2], quorum: 2 })).toEqual({
      ok: false,
      reason: "1 of the given witnesses cosigned, and 2 are asked for",
    })
  })

  it("takes one key under two names for one witness, and the log's own for none", async () => {
    const { ledger, note } = await ledgerOf(5)
    const [alias, own] = [makeKey("witness", "other.example", Buffer.alloc(32, 2)), makeKey("witness", "third.example", Buffer.alloc(32, 1))]
    const cosigned = [alias, own].map(({ skey }) => cosign(parseNote(note).text, parseSigner(skey), 1_700_000_000_000))
    const proof = await prove(ledger, 2, addSignatures(note, cosigned))
    const witnesses = [w1, parseVerifier(alias.vkey), parseVerifier(own.vkey)]
    expect(check(proof, { log: [log], witnesses, quorum: 1 })).toMatchObject({ ok: true })
    expect(check(proof, { log: [log], witnesses, quorum: 2 })).toEqual({
      ok: false,
      reason: "1 of the given witnesses cosigned, and 2 are asked for: those that share a key are one, and the log's own key is none",
    })
  })

  it("is read without trust: no JSON whatever makes the check throw or accept", () => {
    const shaped = fc.record({
      format: fc.constant("skein/inclusion-proof/v1"),
      seq: fc.oneof(fc.integer(), fc.anything()),
      entry: fc.anything(),
      inclusion: fc.anything(),
      checkpoint: fc.anything(),
    })
    fc.assert(
      fc.property(fc.oneof(fc.anything(), shaped), (proof) => {
        expect(check(proof, { log: [log], witnesses: [w1] }).ok).toBe(false)
      }),
      { numRuns: 500 },
    )
  })

  it("does not pass an entry off under another number, though the log signed it", async () => {
    const ledger = new MemoryStore().open()
    const chain = new Chain(sha256)
    const [one, two] = makeEntries(new Chain(sha256), 2)
    const rows = [one!, two!].map(({ bytes }, i) => ({
      seq: i + 1,
      bytes: bytes.replace('"seq":2', '"seq":7'),
      hash: chain.append(bytes.replace('"seq":2', '"seq":7')),
    }))
    await ledger.append(0, rows)
    const note = signNote(formatTreeHead({ origin: "skein/main", size: 2, root: chain.root() }), parseSigner(LOG.skey))
    expect(check(await prove(ledger, 2, note), { log: [log] })).toEqual({ ok: false, reason: "the entry is number 7, not 2" })
  })

  it("reads the whole ledger once, whoever asks at once, and then the entries about the one that is proved and those that are new", async () => {
    const { ledger, note, frontiers } = await ledgerOf(1_700)
    let read = 0
    const counted = { read: async (from: number, limit: number) => ledger.read(from, limit).finally(() => (read += limit)) }
    const tree = new KeptTree(counted)
    await Promise.all([prove(counted, 1_500, note, tree), prove(counted, 3, note, tree)])
    expect(read).toBeLessThan(1_700 + 2 * 512)
    for (const seq of [1, 255, 256, 257, 512, 1_023, 1_024, 1_025, 1_536, 1_537, 1_700]) {
      read = 0
      expect(check(await prove(counted, seq, note, tree), { log: [log] })).toMatchObject({ ok: true, seq })
      expect(read).toBeLessThanOrEqual(512)
    }
    const head = (size: number) => ({ size, root: frontiers[size]!.root() })
    for (const [older, newer] of [
      [1, 1_700],
      [256, 1_700],
      [512, 1_024],
      [700, 1_500],
      [1_024, 1_025],
      [1_699, 1_700],
      [7, 7],
    ] as const)
      expect(isConsistent(head(older), head(newer), await tree.roots(consistencyPath(older, newer)))).toBe(true)
  })

  it("is refused beyond the checkpoint, and over a ledger that has another root", async () => {
    const { ledger, chain, note } = await ledgerOf(5)
    await ledger.append(5, makeEntries(chain, 1))
    await expect(prove(ledger, 6, note)).rejects.toMatchObject({ code: "unsupported", seq: 6 })
    const strange = signNote(formatTreeHead({ origin: "skein/main", size: 5, root: Buffer.alloc(32) }), parseSigner(LOG.skey))
    await expect(prove(ledger, 2, strange)).rejects.toMatchObject({ code: "damaged" })
    const longer = signNote(formatTreeHead({ origin: "skein/main", size: 9, root: Buffer.alloc(32) }), parseSigner(LOG.skey))
    await expect(prove(ledger, 2, longer)).rejects.toMatchObject({ code: "damaged", seq: 7 })
  })
})

describe("a consistency proof", () => {
  it("holds between any two sizes, and not with another root", async () => {
    const { ledger, frontiers } = await ledgerOf(40)
    const head = (size: number): { size: number; root: Uint8Array } => ({ size, root: frontiers[size]!.root() })
    await fc.assert(
      fc.asyncProperty(fc.integer({ min: 1, max: 40 }), fc.integer({ min: 1, max: 40 }), async (a, b) => {
        const [older, newer] = [Math.min(a, b), Math.max(a, b)]
        const proof = await proveConsistency(ledger, older, newer)
        expect(isConsistent(head(older), head(newer), proof)).toBe(true)
        expect(isConsistent({ size: older, root: frontiers[older - 1]!.root() }, head(newer), proof)).toBe(false)
      }),
      { numRuns: 150 },
    )
  })
})
