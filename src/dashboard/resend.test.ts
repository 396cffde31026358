import { expect, test } from "vitest"
import { SkeinError } from "../contract/errors.ts"
import { Resend } from "./resend.ts"

const lost = new SkeinError("timed_out", "no answer came", "Look, then decide again.")
const no = new SkeinError("claim_denied", "somebody has it", "Take another.")

test("what is sent again after no answer came is the same command, and anything else, or after an answer, is another", () => {
  const resend = new Resend()
  const key = resend.keyOf({ task: "a" })
  resend.cameTo(lost)
  expect(resend.keyOf({ task: "a" })).toBe(key)
  const other = resend.keyOf({ task: "b" })
  expect(other).not.toBe(key)
  for (const outcome of [no, null, new TypeError("broken")]) {
    const before = resend.keyOf({ task: "b" })
    resend.cameTo(outcome)
    expect(resend.keyOf({ task: "b" })).not.toBe(before)
  }
})
