import { expect, test } from "vitest"
import { Presence } from "./presence.ts"

test("a session is silent after three of its own heartbeats, not before", () => {
  const presence = new Presence()
  presence.attach("s_quick", 1_000, 0)
  presence.attach("s_slow", 10_000, 0)
  expect(presence.silent(2_999)).toEqual([])
  expect(presence.nextSilenceMs(0)).toBe(3_000)
  expect(presence.silent(3_000)).toEqual([{ id: "s_quick", silentMs: 3_000 }])
  expect(presence.nextSilenceMs(3_000)).toBe(30_000)
  presence.beat("s_quick", 3_000, 1_000)
  expect(presence.silent(5_999)).toEqual([])
})

test("beats are taken once, and come again when the sweep that took them failed", () => {
  const presence = new Presence()
  expect(presence.beat("s_1", 0, 1_000)).toBe(false)
  expect(presence.beat("s_1", 1, 1_000)).toBe(true)
  const beats = presence.takeBeats()
  expect([beats, presence.takeBeats()]).toEqual([["s_1"], []])
  presence.giveBack([...beats, "s_unknown"])
  expect([presence.takeBeats(), presence.of("s_unknown")]).toEqual([["s_1"], null])
})

test("who came to this hub is told once, and again when the sweep that was to tell it failed, unless another hub has heard of it since", () => {
  const presence = new Presence()
  for (const session of ["s_1", "s_2"]) presence.attach(session, 1_000, 0)
  const arrived = presence.takeArrived()
  expect([arrived, presence.takeArrived()]).toEqual([["s_1", "s_2"], []])
  presence.leave("s_2")
  presence.giveBack([], [...arrived, "s_unknown"])
  expect(presence.takeArrived()).toEqual(["s_1"])
})

test("a session without its connection has its three heartbeats to come back, and counts its connections", () => {
  const presence = new Presence()
  presence.attach("s_1", 1_000, 0)
  presence.attach("s_1", 1_000, 500)
  presence.detach("s_1")
  expect(presence.of("s_1")).toMatchObject({ connections: 1, lastBeatMs: 500 })
  presence.detach("s_1")
  presence.detach("s_1")
  presence.detach("s_unknown")
  expect(presence.of("s_1")).toMatchObject({ connections: 0 })
  expect(presence.silent(3_499)).toEqual([])
  expect(presence.silent(3_500)).toHaveLength(1)
  presence.forget("s_1")
  expect([presence.silent(1_000_000), presence.nextSilenceMs(0)]).toEqual([[], null])
})

test("a session that fell silent between a sweep and the plan for the next is due at once", () => {
  const presence = new Presence()
  presence.attach("s_1", 1_000, 0)
  expect(presence.silent(2_999)).toEqual([])
  expect(presence.nextSilenceMs(3_005)).toBe(3_005)
  expect(presence.silent(3_005)).toHaveLength(1)
  // Told once: it waits for a beat, and keeps nobody awake.
  expect(presence.nextSilenceMs(3_005)).toBeNull()
  presence.beat("s_1", 4_000, 1_000)
  expect(presence.nextSilenceMs(4_000)).toBe(7_000)
})

test("a session that is expected is silent from then on, renews nothing, and is like any other once it beats", () => {
  const presence = new Presence()
  presence.expect("s_1", 1_000, 5_000)
  expect(presence.takeBeats()).toEqual([])
  expect(presence.silent(15_999)).toEqual([])
  expect(presence.silent(16_000)).toMatchObject([{ id: "s_1" }])
  presence.beat("s_1", 16_000, 1_000)
  presence.expect("s_1", 17_000, 5_000)
  expect(presence.silent(19_000)).toMatchObject([{ id: "s_1", silentMs: 3_000 }])
})
