import fc from "fast-check"
import { hash } from "node:crypto"
import { describe, expect, it } from "vitest"
import { Chain } from "./chain.ts"
import { ENTRY_MAX_BYTES } from "./entry.ts"
import { EntryHasher, GENESIS, sameHash, toHex } from "./hash.ts"
import { Frontier } from "./merkle.ts"

const sha256 = (bytes: Uint8Array): Uint8Array => Buffer.from(hash("sha256", bytes, "binary"), "latin1")
const hasher = new EntryHasher(sha256)

/** The root of the tree over these entries. */
function rootOf(texts: readonly string[]): string {
  const frontier = new Frontier(hasher)
  for (const text of texts) frontier.append(hasher.leaf(text))
  return toHex(frontier.root())
}

describe("a chain", () => {
  it("hashes each entry after the hash of the one before, from 32 zero bytes on", () => {
    const chain = new Chain(sha256)
    const first = sha256(Buffer.concat([GENESIS, Buffer.from("a")]))
    expect(toHex(chain.append("a"))).toBe(toHex(first))
    expect(toHex(chain.append("ü\u{1F9E6}"))).toBe(toHex(sha256(Buffer.concat([first, Buffer.from("ü\u{1F9E6}")]))))
    expect(chain.seq).toBe(2)
    expect(toHex(chain.root())).toBe(rootOf(["a", "ü\u{1F9E6}"]))
  })

  it("refuses an entry that is too long, and stays as it was", () => {
    const chain = new Chain(sha256)
    chain.append("x".repeat(ENTRY_MAX_BYTES))
    const { hash, seq } = chain
    expect(() => chain.append("x".repeat(ENTRY_MAX_BYTES + 1))).toThrow(RangeError)
    expect(() => chain.append("ü".repeat(ENTRY_MAX_BYTES - 1))).toThrow("65535 bytes")
    expect(chain.hash).toBe(hash)
    expect(chain.seq).toBe(seq)
  })

  it("whatever is appended, committed, rolled back, folded and recorded, it is the chain of what was committed", () => {
    const step = fc.oneof(
      { weight: 8, arbitrary: fc.array(fc.string(), { minLength: 1, maxLength: 40, size: "max" }).map((batch) => ({ do: "commit" as const, batch })) },
      { weight: 3, arbitrary: fc.array(fc.string(), { minLength: 1, maxLength: 5 }).map((batch) => ({ do: "rollback" as const, batch })) },
      { weight: 2, arbitrary: fc.constantFrom({ do: "fold" as const }, { do: "root" as const }, { do: "restart" as const }) },
    )
    fc.assert(
      fc.property(fc.array(step, { maxLength: 25, size: "max" }), (steps) => {
        let chain = new Chain(sha256)
        const committed: string[] = []
        for (const taken of steps) {
          if ("batch" in taken) {
            for (const text of taken.batch) chain.append(text)
            // A checkpoint entry covers what is in flight with it.
            if (taken.batch.length % 3 === 0) {
              expect(toHex(chain.root())).toBe(rootOf([...committed, ...taken.batch]))
            }
            if (taken.do === "commit") {
              chain.commit()
              committed.push(...taken.batch)
            } else chain.rollback()
          } else if (taken.do === "fold") chain.fold()
          else if (taken.do === "root") chain.root()
          else chain = new Chain(sha256, JSON.parse(JSON.stringify(chain.record())))
        }
        let hash = GENESIS
        for (const text of committed) hash = hasher.chain(hash, text)
        expect(chain.seq).toBe(committed.length)
        expect(sameHash(chain.hash, hash)).toBe(true)
        expect(toHex(chain.root())).toBe(rootOf(committed))
      }),
      { numRuns: 150 },
    )
  })

  it("a record whose parts do not fit is refused", () => {
    const chain = new Chain(sha256)
    for (const text of ["a", "b", "c"]) chain.append(text)
    chain.commit()
    const record = chain.record()
    expect(() => new Chain(sha256, { ...record, seq: 4 })).toThrow(RangeError)
    expect(() => new Chain(sha256, { ...record, frontier: { size: 3, roots: record.frontier.roots.slice(1) } })).toThrow("not a frontier")
    expect(() => new Chain(sha256, { ...record, hash: "zz" })).toThrow(RangeError)
  })
})
