import fc from "fast-check"
import { expect, it } from "vitest"
import { RecentHashes } from "./recent-hashes.ts"

const hashOf = (byte: number): Uint8Array => new Uint8Array(32).fill(byte)

// Few places that are all taken, and more than there is room for at first.
it.each([
  [5, 12],
  [2_000, 5_000],
])("of the numbers that share one of up to %i places, the hash that was kept last is there, and no other", (rooms, numbers) => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: rooms }), fc.array(fc.tuple(fc.integer({ min: 1, max: numbers }), fc.nat(255))), (room, kept) => {
      const recent = new RecentHashes(room)
      for (const [number, byte] of kept) recent.keep(number, hashOf(byte))
      for (const number of [1, ...kept.flatMap(([one]) => [one, one + 1, (one % room) + room])]) {
        const last = kept.findLast(([one]) => one % room === number % room)
        const at = recent.find(number)
        expect(at === null ? null : recent.bytes.slice(at, at + 32)).toEqual(last?.[0] === number ? hashOf(last[1]) : null)
      }
    }),
  )
})
