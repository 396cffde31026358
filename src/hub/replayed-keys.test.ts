import fc from "fast-check"
import { expect, test } from "vitest"
import type { Actor } from "../core/entry.ts"
import { KEY_WINDOW_MS, remember } from "../core/idempotency.ts"
import { Workspace } from "../core/workspace.ts"
import { sha256 } from "../ledger/sha256.ts"
import { digestOf } from "./fingerprint.ts"
import { ReplayedKeys } from "./replayed-keys.ts"

const ACTORS = ["ann", "bob"].map((agent): Actor => ({ agent, session: null, role: "worker" }))

test("the digest of keys that are folded by themselves is that of the state's own, whenever it is asked for", () => {
  const step = fc.record({
    actor: fc.constantFrom(...ACTORS),
    key: fc.constantFrom(null, "k1", "k2", "ünïcode 🪿", "a key with blanks"),
    hash: fc.constantFrom("0", "1"),
    entries: fc.integer({ min: 1, max: 3 }),
    laterMs: fc.constantFrom(0, 1, KEY_WINDOW_MS / 3, KEY_WINDOW_MS + 1),
    asked: fc.boolean(),
  })
  fc.assert(
    fc.property(fc.array(step, { maxLength: 40, size: "max" }), (steps) => {
      const state = new Workspace()
      const keys = new ReplayedKeys()
      let seq = 0
      let atMs = 1
      for (const { actor, key, hash, entries, laterMs, asked } of steps) {
        atMs += laterMs
        for (let left = entries; left > 0; left -= 1) {
          seq += 1
          const entry = { seq, atMs, actor, commandId: key, commandHash: key === null ? null : hash }
          remember(state, entry)
          keys.fold(entry)
        }
        if (asked) expect(keys.digest()).toBe(digestOf(sha256, state))
      }
      expect(keys.digest()).toBe(digestOf(sha256, state))
    }),
  )
})
