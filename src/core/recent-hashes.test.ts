import fc from "fast-check"
import { describe, expect, it } from "vitest"
import { RecentHashes } from "./recent-hashes.ts"

const hashOf = (byte: number): Uint8Array => new Uint8Array(32).fill(byte)

describe("the hashes of recent records", () => {
  it("are those that were kept last, and no more than the limit", () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 5 }), fc.array(fc.tuple(fc.constantFrom("a", "b", "c", "d", "e", "f"), fc.nat(255))), (limit, kept) => {
        const recent = new RecentHashes(limit)
        // Oldest first: a key keeps its age when its hash is replaced.
        let model: [string, number][] = []
        for (const [key, byte] of kept) {
          recent.keep(key, hashOf(byte))
          if (model.some(([one]) => one === key)) model = model.map(([one, was]) => [one, one === key ? byte : was])
          else model = [...model, [key, byte] as [string, number]].slice(-limit)
        }
        expect(recent.size).toBe(model.length)
        for (const key of ["a", "b", "c", "d", "e", "f"]) {
          const found = model.find(([one]) => one === key)
          expect(recent.get(key)).toEqual(found === undefined ? null : hashOf(found[1]))
        }
      }),
    )
  })

  it("grow into their room: a thousand and more are all there", () => {
    const recent = new RecentHashes(5_000)
    for (let at = 0; at < 6_000; at += 1) recent.keep(`k${at}`, hashOf(at % 256))
    expect(recent.size).toBe(5_000)
    expect(recent.get("k999")).toBeNull()
    for (let at = 1_000; at < 6_000; at += 1) expect(recent.get(`k${at}`)).toEqual(hashOf(at % 256))
  })
})
