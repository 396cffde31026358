import fc from "fast-check"
import { expect, test } from "vitest"
import type { Entry } from "../core/entry.ts"
import { RecentEntries } from "./recent-entries.ts"

const upTo = (from: number, to: number): Entry[] =>
  Array.from({ length: Math.max(0, to - from + 1) }, (_, at) => ({ seq: from + at, atMs: from + at, type: "x", data: {} }) as unknown as Entry)

test("whatever comes twice, early or in pieces, each of the newest entries is there once and in order", () => {
  fc.assert(
    fc.property(fc.integer({ min: 0, max: 60 }), fc.array(fc.tuple(fc.nat(8), fc.integer({ min: 1, max: 20 }))), fc.nat(5), (head, pieces, early) => {
      const recent = new RecentEntries(40)
      let last = head
      pieces.forEach(([back, many], at) => {
        if (at === early) recent.begin(upTo(1, head), true)
        expect(recent.take(upTo(Math.max(1, last - back + 1), last + many))).toBe(true)
        last += many
      })
      if (pieces.length <= early) recent.begin(upTo(1, head), true)
      const seqs = recent.entries.map(({ seq }) => seq)
      expect(seqs.at(-1) ?? 0).toBe(last)
      expect(seqs).toEqual(upTo(last - seqs.length + 1, last).map(({ seq }) => seq))
      expect(seqs.length).toBeLessThanOrEqual(Math.max(48, head))
      expect(recent.isWhole).toBe(seqs.length === last)
    }),
  )
})

test("where something is missing it says so", () => {
  const recent = new RecentEntries(10)
  recent.begin(upTo(1, 3), true)
  expect(recent.take(upTo(5, 6))).toBe(false)
  expect(recent.entries).toHaveLength(3)
})
