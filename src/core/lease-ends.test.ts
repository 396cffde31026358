import fc from "fast-check"
import { expect, test } from "vitest"
import { type LeaseEnd, LeaseEnds } from "./lease-ends.ts"

test("whatever came, moved and went: the first end is the least, and over are those whose time has come", () => {
  const change = fc.record({ id: fc.constantFrom("a", "b", "c", "d", "e", "f", "g"), endsAtMs: fc.option(fc.nat(20)) })
  fc.assert(
    fc.property(fc.array(change, { maxLength: 60, size: "max" }), fc.nat(20), (changes, nowMs) => {
      const ends = new LeaseEnds<string>()
      const leases = new Map<string, LeaseEnd<string>>()
      const known = new Map<string, number>()
      for (const { id, endsAtMs } of changes) {
        const lease = leases.get(id) ?? { id, endsAtMs: 0, at: -1 }
        leases.set(id, lease)
        ends.move(lease, endsAtMs)
        if (endsAtMs === null) known.delete(id)
        else known.set(id, endsAtMs)
        expect(ends.firstMs).toBe(known.size === 0 ? null : Math.min(...known.values()))
      }
      const over = ends.over(nowMs).map(({ id, endsAtMs }): [string, number] => [id, endsAtMs])
      expect(new Map(over)).toEqual(new Map([...known].filter(([, endsAtMs]) => endsAtMs <= nowMs)))
      expect(over).toHaveLength(new Set(over.map(([id]) => id)).size)
    }),
    { numRuns: 200 },
  )
})
