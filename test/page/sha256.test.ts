import { createHash } from "node:crypto"
import fc from "fast-check"
import { expect, test } from "vitest"
import { sha256 } from "../../src/dashboard/sha256.ts"

test("hashes any bytes as the platform does", () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 300, size: "max" }), (bytes) => {
      expect(Buffer.from(sha256(bytes))).toEqual(createHash("sha256").update(bytes).digest())
    }),
  )
})

test.each([0, 55, 56, 63, 64, 119, 120, 65_535])("hashes %i bytes: where the padding needs a block of its own, and where not", (length) => {
  const bytes = new Uint8Array(length).fill(0xa7)
  expect(Buffer.from(sha256(bytes))).toEqual(createHash("sha256").update(bytes).digest())
})
