import fc from "fast-check"
import { expect, it } from "vitest"
import { RecentHashes } from "./recent-hashes.ts"

const hashOf = (byte: number): Uint8Array => new Uint8Array(32).fill(byte)

it("of the numbers that share a place, the hash that was kept last is there, and no other", () => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 5 }), fc.array(fc.tuple(fc.integer({ min: 1, max: 12 }), fc.nat(255))), (room, kept) => {
      const recent = new RecentHashes(room)
      for (const [number, byte] of kept) recent.keep(number, hashOf(byte))
      for (let number = 1; number <= 12; number += 1) {
        const last = kept.findLast(([one]) => one % room === number % room)
        const at = recent.find(number)
        expect(at === null ? null : recent.bytes.slice(at, at + 32)).toEqual(last?.[0] === number ? hashOf(last[1]) : null)
      }
    }),
  )
})
