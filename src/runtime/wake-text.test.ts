import { expect, test } from "vitest"
import { typable } from "./tmux/typable.ts"
import { nudgeText, type WakeReason } from "./wake-text.ts"

const nonce = `r${"9".repeat(24)}`
const about: WakeReason = { thread: "plan", target: "bob", reason: "a review waits", prompt: "look at\n\tsrc/a.ts", by: "ann", nonce }

test("a nudge says why, what is asked besides and what to do, a line each, and bears its mark", () => {
  const todo = `Read it with read_messages, do what it asks of you, then ack_read. [skein:${nonce}]`
  expect(nudgeText(about)).toBe(`Skein: a review waits in thread plan.\nann asks: look at src/a.ts\n${todo}`)
  expect(nudgeText({ ...about, prompt: "" })).toBe(`Skein: a review waits in thread plan.\n${todo}`)
})

test("a nudge can be typed, however long the names, the reason and the prompt that it is made of", () => {
  const long = {
    ...about,
    thread: `task/${"p".repeat(72)}/${"t".repeat(64)}`,
    by: "b".repeat(64),
    reason: "🪿".repeat(300),
    prompt: "🪿\n".repeat(2_000),
  }
  for (const text of [nudgeText(long), nudgeText({ ...long, thread: "plan" }), nudgeText({ ...long, prompt: "" })]) {
    expect(typable(text, "nudge", true)).toBe(text)
    expect(text).toContain(`[skein:${nonce}]`)
  }
  expect([...nudgeText(long)]).toHaveLength(700)
})
