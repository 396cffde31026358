import fc from "fast-check"
import { expect, test } from "vitest"
import { KeptHashes } from "./kept-hashes.ts"

const hash = (byte: number): Uint8Array => new Uint8Array(32).fill(byte)

test("what is kept under a number is given back when it is replaced or taken, and never twice", () => {
  const step = fc.record({ number: fc.oneof(fc.nat({ max: 9 }), fc.nat({ max: 50_000 })), byte: fc.option(fc.integer({ min: 0, max: 255 })) })
  fc.assert(
    fc.property(fc.array(step, { maxLength: 200 }), (steps) => {
      const kept = new KeptHashes()
      const model = new Map<number, number>()
      for (const { number, byte } of steps) {
        const before = byte === null ? kept.take(number) : kept.swap(number, hash(byte))
        const expected = model.get(number)
        expect(before).toEqual(expected === undefined ? null : hash(expected))
        if (byte === null) model.delete(number)
        else model.set(number, byte)
      }
    }),
  )
})

test("it grows beyond its first room", () => {
  const kept = new KeptHashes()
  for (let number = 0; number < 20_000; number += 1) expect(kept.swap(number * 3, hash(number % 251))).toBeNull()
  for (let number = 0; number < 20_000; number += 1) expect(kept.take(number * 3)).toEqual(hash(number % 251))
})
