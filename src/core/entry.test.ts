import fc from "fast-check"
import { expect, it } from "vitest"
import { anyUnit } from "../../test/any-unit.ts"
import { decodeEntry, encodeEntry, type Entry } from "./entry.ts"

const text = fc.oneof(fc.string({ unit: anyUnit }), fc.constantFrom('"', "\\", "\u2028", "\ud800", "a b", "agent-1", ""))
const entry: fc.Arbitrary<Entry> = fc.record({
  seq: fc.integer({ min: 1 }),
  atMs: fc.nat(),
  type: fc.constant("task.claimed"),
  v: fc.constant(1),
  actor: fc.record({ agent: text, session: fc.option(text), role: fc.constant("worker" as const) }),
  commandId: fc.option(text),
  commandHash: fc.option(text),
  causedBy: fc.option(fc.integer({ min: 1 })),
  data: fc.dictionary(text, fc.jsonValue()),
})

it("an entry's bytes are its JSON, keys in their order", () => {
  fc.assert(
    fc.property(entry, (one) => {
      const { seq, atMs, type, v, actor, commandId, commandHash, causedBy, data } = one
      const { agent, session, role } = actor
      expect(encodeEntry(one)).toBe(JSON.stringify({ seq, atMs, type, v, actor: { agent, session, role }, commandId, commandHash, causedBy, data }))
      expect(decodeEntry(encodeEntry(one)).seq).toBe(seq)
    }),
  )
})

it("bytes that are no entry are not taken for one", () => {
  for (const bytes of ["", "{", "null", "[]", '{"seq":1}', '{"seq":"1","type":"x"}', '{"seq":1.5,"type":"x"}', '{"type":"x"}', '{"seq":1,"type":2}'])
    expect(() => decodeEntry(bytes), bytes).toThrow()
})
