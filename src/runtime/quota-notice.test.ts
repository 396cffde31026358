import { expect, test } from "vitest"
import { presetNamed } from "./presets/presets.ts"
import { quotaNotice } from "./quota-notice.ts"

const NOW = "2026-11-21T16:00:00Z"

function untilOf(kind: string, text: string, { now = NOW, zone = "UTC" } = {}): string | null | undefined {
  const notice = quotaNotice(text, presetNamed(kind)?.screen.exhausted ?? [], Date.parse(now), zone)
  return notice === null ? undefined : notice.untilMs === null ? null : new Date(notice.untilMs).toISOString().slice(0, 19)
}

test.each([
  ["claude", "You've hit your session limit · resets 5:30am (Asia/Tokyo)", "2026-11-21T20:30:00"],
  ["claude", "You've hit your session limit · resets 6pm (Europe/Berlin)", "2026-11-21T17:00:00"],
  ["claude", "You've hit your weekly limit · resets Nov 24 at 5pm (America/New_York)", "2026-11-24T22:00:00"],
  ["claude", "You've hit your limit · resets Jan 2, 9am (UTC)", "2027-01-02T09:00:00"],
  ["claude", "5-hour limit reached ∙ resets 7pm", "2026-11-21T19:00:00"],
  ["claude", "Claude AI usage limit reached|1795284000", "2026-11-21T18:00:00"],
  ["claude", "Claude usage limit reached. Your limit will reset at 6pm (America/Los_Angeles).", "2026-11-22T02:00:00"],
  [
    "codex",
    "■ You've hit your usage limit. Upgrade to Pro (https://openai.com/chatgpt/pricing) or try again in 5 days 22 hours 11\nminutes.",
    "2026-11-27T14:11:00",
  ],
  ["codex", "You’ve hit your usage limit. Try again at 6:05 PM.", "2026-11-21T18:05:00"],
  ["codex", "You’ve hit your usage limit. Visit the page to purchase more credits or try again at Nov 26th, 2026 3:05 PM.", "2026-11-26T15:05:00"],
  ["codex", "You've hit your usage limit. Upgrade to Plus to continue using Codex, or try again at Dec 5, 2026, 7:38 AM.", "2026-12-05T07:38:00"],
  ["codex", 'Codex error: {"type":"usage_limit_reached","plan_type":"plus","resets_at":1795284000,"resets_in_seconds":7200}', "2026-11-21T18:00:00"],
  ["gemini", "│ Usage limit reached for all Pro models.      │\n│ Access resets at 11:00 PM GMT+2.   │", "2026-11-21T21:00:00"],
  ["gemini", "Usage limit reached for gemini-3-flash-preview. Access resets at 10:57 PM GMT-3.", "2026-11-22T01:57:00"],
  ["gemini", "[API Error: You have exhausted your capacity on this model. Your quota will reset after 12h22m44s.]", "2026-11-22T04:22:44"],
  ["opencode", "usage limit reached, retrying in 2h 5m attempt #3", "2026-11-21T18:05:00"],
])("%s says when its quota comes back: %s", (kind, text, until) => {
  expect(untilOf(kind, text)).toBe(until)
})

test.each([
  ["claude", "You've hit your session limit"],
  ["codex", "You've hit your usage limit. To get more access now, send a request to your admin"],
  ["gemini", "[API Error: You have exhausted your daily quota on this model.]"],
])("%s may name no time: %s", (kind, text) => {
  expect(untilOf(kind, text)).toBeNull()
})

test.each([
  ["claude", "You've used 90% of your weekly limit · resets Nov 24 at 5pm (UTC)"],
  ["codex", "I will try again in 5 minutes"],
  ["gemini", "the API resets at 3pm"],
])("what is no notice is none: %s %s", (kind, text) => {
  expect(untilOf(kind, text)).toBeUndefined()
})

test("a clock time without a zone is this machine's, across a change of the clocks too", () => {
  const text = "You've hit your usage limit. Try again at 3:05 AM."
  expect(untilOf("codex", text, { now: "2026-10-24T20:00:00Z", zone: "Europe/Berlin" })).toBe("2026-10-25T02:05:00")
  expect(untilOf("codex", text, { now: "2026-10-26T20:00:00Z", zone: "America/New_York" })).toBe("2026-10-27T07:05:00")
})

test("the last of several notices counts, and a time that has just passed is not tomorrow's", () => {
  const old = "You've hit your session limit · resets 3:40pm (UTC)\n❯ continue\n"
  expect(untilOf("claude", old)).toBe("2026-11-21T15:40:00")
  expect(untilOf("claude", old, { now: "2026-11-21T20:00:00Z" })).toBe("2026-11-21T15:40:00")
  expect(untilOf("claude", `${old}You've hit your session limit · resets 8:30pm (UTC)`)).toBe("2026-11-21T20:30:00")
})

test("the same notice says the same, wherever its lines are broken; another one without a time is another", () => {
  const said = (text: string): string | undefined => quotaNotice(text, presetNamed("codex")?.screen.exhausted ?? [], Date.parse(NOW), "UTC")?.said
  expect(said("You've hit your usage limit. Try again\nat 6:05 PM. more text")).toBe(said("You've hit your usage limit. Try again at 6:05 PM."))
  const once = "You've hit your usage limit. Ask your admin"
  expect(said(`${once}\nagain: ${once}`)).not.toBe(said(once))
})

test("a time that no quota has is none", () => {
  const nowMs = Date.UTC(2026, 0, 1)
  for (const text of [`limit: try again in ${"9".repeat(400)} days`, `limit "resets_in_seconds": ${"9".repeat(400)}`, "limit resets Jan 1, 9999 at 5:00 UTC"])
    expect(quotaNotice(text, ["limit"], nowMs)).toMatchObject({ untilMs: null })
})
