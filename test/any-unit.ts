import fc from "fast-check"

/** Any character, for `fc.string`: as its own unit "binary", for which it makes a table of all 1,100,000 of them, a second of work in each process. */
export const anyUnit: fc.Arbitrary<string> = fc.oneof(
  fc.string({ unit: "binary-ascii", minLength: 1, maxLength: 1 }),
  fc.integer({ min: 0x80, max: 0xd7ff }).map((code) => String.fromCodePoint(code)),
  fc.integer({ min: 0xe000, max: 0x10ffff }).map((code) => String.fromCodePoint(code)),
)
