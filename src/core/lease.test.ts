import { describe, expect, it } from "vitest"
import { delivery, OPERATOR, Scenario, START_MS, types } from "../../test/scenario.ts"
import { HUB } from "./entry.ts"

const DATA = (entry: { data: unknown } | undefined): unknown => entry?.data

describe("a lease", () => {
  it("is over at its end, not after it", () => {
    const scenario = new Scenario()
    const ann = scenario.agent("ann")
    scenario.task("t")
    const fence = scenario.claim(ann, "t")
    scenario.wait(119_999)
    scenario.must("lease.renew", ann, { task: "t", fence })
    expect(scenario.at("t").leaseEndsAtMs).toBe(START_MS + 239_999)
    scenario.wait(120_000)
    expect(scenario.refuses("stale_fence", "task.update", ann, { task: "t", fence, progress: null, note: null }).details).toMatchObject({
      endedAtMs: START_MS + 239_999,
    })
    scenario.refuses("stale_fence", "lease.renew", ann, { task: "t", fence })
  })

  it("is renewed by progress, a blocker, and help wanted; not by what others do", () => {
    const scenario = new Scenario()
    const [ann, bob] = [scenario.agent("ann"), scenario.agent("bob")]
    scenario.task("t")
    const fence = scenario.claim(ann, "t")
    const renewed = (act: () => unknown): boolean => {
      scenario.wait(1_000)
      act()
      return scenario.at("t").leaseEndsAtMs === scenario.nowMs + 120_000
    }
    expect(renewed(() => scenario.must("task.update", ann, { task: "t", fence, progress: 0.1, note: null }))).toBe(true)
    expect(renewed(() => scenario.must("help.want", ann, { task: "t", fence, reason: "r" }))).toBe(true)
    expect(renewed(() => scenario.must("help.answer", bob, { task: "t" }))).toBe(false)
    expect(renewed(() => scenario.must("task.block", ann, { task: "t", fence, on: { kind: "external", ref: "x" }, reason: "r" }))).toBe(true)
    expect(renewed(() => scenario.must("task.unblock", ann, { task: "t", reason: "r" }))).toBe(true)
    expect(renewed(() => scenario.must("task.edit", OPERATOR, { task: "t", reason: "r", changes: { title: "T" } }))).toBe(false)
  })

  it("is written under by its owner alone, with its own fence", () => {
    const scenario = new Scenario()
    const [ann, bob] = [scenario.agent("ann"), scenario.agent("bob")]
    scenario.task("t")
    const fence = scenario.claim(ann, "t")
    const update = { task: "t", progress: null, note: null }
    expect(scenario.refuses("not_owner", "task.update", bob, { ...update, fence }).details).toMatchObject({ heldBy: "ann" })
    expect(scenario.refuses("stale_fence", "task.update", ann, { ...update, fence: fence - 1 }).details).toMatchObject({ heldBy: "ann" })
    scenario.refuses("not_found", "task.update", ann, { ...update, task: "none", fence })
    expect(scenario.at("t").status).toBe("claimed")
  })

  it("of a blocked task runs out as any other", () => {
    const scenario = new Scenario()
    const ann = scenario.agent("ann")
    scenario.task("t")
    const fence = scenario.claim(ann, "t")
    scenario.must("task.block", ann, { task: "t", fence, on: { kind: "external", ref: "x" }, reason: "r" })
    scenario.wait(120_000)
    expect(types(scenario.must("hub.sweep", HUB, { beats: [], silent: [] }))).toEqual(["lease.ended"])
    expect(scenario.at("t")).toMatchObject({ status: "pending", blockedOn: null, attempts: 1 })
    expect(scenario.state.board.blockedOn("x")).toEqual([])
  })

  it("that is ended by hand has the reason on the ledger, and its holder is told to stop", () => {
    const scenario = new Scenario()
    const ann = scenario.agent("ann")
    scenario.task("t")
    const fence = scenario.claim(ann, "t")
    const { entries, answer } = scenario.must("lease.end", OPERATOR, { task: "t", reason: "wrong agent" })
    expect(entries.map(({ type, data }) => ({ type, data }))).toMatchObject([
      { type: "lease.ended", data: { id: "t", fence, reason: "operator", by: "olga", note: "wrong agent" } },
      { type: "event.sent", data: { directive: "stop", to: { agent: "ann" }, task: "t" } },
    ])
    expect(answer.status).toBe("pending")
    scenario.refuses("stale_fence", "task.complete", ann, { task: "t", fence, ...delivery() })
  })
})

describe("a sweep", () => {
  it("renews what beat before it ends what ran out, all of a session in one entry", () => {
    const scenario = new Scenario()
    const [ann, bob] = [scenario.agent("ann", { maxActive: 2 }), scenario.agent("bob")]
    for (const [actor, id] of [
      [ann, "a"],
      [ann, "b"],
      [bob, "c"],
    ] as const) {
      scenario.task(id)
      scenario.claim(actor, id)
    }
    scenario.wait(120_000)
    const swept = scenario.must("hub.sweep", HUB, { beats: [ann.session ?? "", ann.session ?? "", "s_unknown"], silent: [] })
    expect(swept.entries.map(({ type, data }) => [type, data])).toMatchObject([
      ["leases.renewed", { sessions: [ann.session] }],
      ["lease.ended", { id: "c" }],
    ])
    expect(scenario.at("a").leaseEndsAtMs).toBe(scenario.nowMs + 120_000)
  })

  it("adds nothing for a session whose leases are young", () => {
    const scenario = new Scenario()
    const ann = scenario.agent("ann")
    scenario.task("t")
    scenario.claim(ann, "t")
    scenario.wait(39_999)
    const beat = { beats: [ann.session ?? ""], silent: [] }
    expect(types(scenario.must("hub.sweep", HUB, beat))).toEqual([])
    scenario.wait(1)
    expect(types(scenario.must("hub.sweep", HUB, beat))).toEqual(["leases.renewed"])
  })

  it("splits renewals of many sessions, so that no entry is too long", () => {
    const scenario = new Scenario()
    const sessions: string[] = []
    for (let at = 0; at < 1_501; at++) {
      const actor = scenario.agent(`a${at}`)
      scenario.task(`t${at}`)
      scenario.claim(actor, `t${at}`)
      sessions.push(actor.session ?? "")
    }
    scenario.wait(60_000)
    const from = scenario.bytes.length
    expect(types(scenario.must("hub.sweep", HUB, { beats: sessions, silent: [] }))).toEqual(["leases.renewed", "leases.renewed"])
    for (const bytes of scenario.bytes.slice(from)) expect(Buffer.byteLength(bytes)).toBeLessThan(65_535)
    expect(scenario.at("t1500").leaseEndsAtMs).toBe(scenario.nowMs + 120_000)
  })

  it("declares a silent session lost, ends its leases at once, and the next beat brings it back", () => {
    const scenario = new Scenario()
    const ann = scenario.agent("ann")
    const id = ann.session ?? ""
    scenario.task("t")
    const fence = scenario.claim(ann, "t")
    expect(types(scenario.must("hub.sweep", HUB, { beats: [], silent: [{ id, silentMs: 44_999 }] }))).toEqual([])
    const lost = {
      beats: [],
      silent: [
        { id, silentMs: 45_000 },
        { id, silentMs: 45_000 },
      ],
    }
    expect(types(scenario.must("hub.sweep", HUB, lost))).toEqual(["session.lost", "lease.ended"])
    expect(scenario.state.sessions.get(id)).toMatchObject({ status: "lost", endedAtMs: scenario.nowMs })
    expect(types(scenario.must("hub.sweep", HUB, lost))).toEqual([])
    expect(types(scenario.must("hub.sweep", HUB, { beats: [id], silent: [] }))).toEqual(["session.returned"])
    expect(scenario.state.sessions.get(id)).toMatchObject({ status: "live", endedAtMs: null })
    scenario.refuses("stale_fence", "task.update", ann, { task: "t", fence, progress: null, note: null })
    expect(scenario.at("t")).toMatchObject({ status: "pending", attempts: 1 })
  })

  it("never declares lost what beat since the last one, what nothing beats for, and what has ended", () => {
    const scenario = new Scenario()
    const [ann, bob, cat] = [scenario.agent("ann"), scenario.agent("bob", {}, { owned: false }), scenario.agent("cat")]
    scenario.must("session.end", cat, { session: cat.session ?? "", reason: "done" })
    const silent = [ann, bob, cat].map((actor) => ({ id: actor.session ?? "", silentMs: 10_000_000 }))
    expect(
      types(scenario.must("hub.sweep", HUB, { beats: [ann.session ?? "", cat.session ?? ""], silent: [...silent, { id: "s_unknown", silentMs: 10_000_000 }] })),
    ).toEqual([])
  })

  it("ends a lease once, also where its session is lost in the same sweep", () => {
    const scenario = new Scenario()
    const ann = scenario.agent("ann")
    scenario.task("t")
    scenario.claim(ann, "t")
    scenario.wait(120_000)
    expect(types(scenario.must("hub.sweep", HUB, { beats: [], silent: [{ id: ann.session ?? "", silentMs: 120_000 }] }))).toEqual([
      "session.lost",
      "lease.ended",
    ])
    expect(scenario.at("t").attempts).toBe(1)
  })

  it("ends what ran out in the order in which it did", () => {
    const scenario = new Scenario()
    for (const [id, leaseMs] of [
      ["c", 3_000],
      ["a", 1_000],
      ["b", 2_000],
    ] as const) {
      scenario.task(id, { leaseMs })
      scenario.claim(scenario.agent(`of-${id}`), id)
    }
    expect(scenario.state.board.nextLeaseEndMs).toBe(scenario.nowMs + 1_000)
    scenario.wait(2_999)
    expect(scenario.must("hub.sweep", HUB, { beats: [], silent: [] }).entries.map(DATA)).toMatchObject([{ id: "a" }, { id: "b" }])
    expect(scenario.state.board.nextLeaseEndMs).toBe(scenario.nowMs + 1)
  })

  it("flags work that nothing was heard of to its owner after 15 min and to the operator after 30, once each", () => {
    const scenario = new Scenario()
    const ann = scenario.agent("ann")
    const id = ann.session ?? ""
    scenario.task("t")
    const fence = scenario.claim(ann, "t")
    const pass = (ms: number): unknown[] => {
      const flags: unknown[] = []
      for (let left = ms; left > 0; left -= 60_000) {
        scenario.wait(Math.min(left, 60_000))
        for (const { type, data } of scenario.must("hub.sweep", HUB, { beats: [id], silent: [] }).entries) {
          if (type === "task.flagged") flags.push((data as { to: string }).to)
          if (type === "event.sent") flags.push((data as { to: unknown }).to)
        }
      }
      return flags
    }
    const quarterMs = 15 * 60_000
    expect(pass(quarterMs - 1)).toEqual([])
    expect(pass(1)).toEqual(["owner", { agent: "ann" }])
    expect(pass(quarterMs - 1)).toEqual([])
    expect(pass(1)).toEqual(["operator", { role: "operator" }])
    expect(pass(10 * quarterMs)).toEqual([])
    scenario.must("task.update", ann, { task: "t", fence, progress: 0.5, note: null })
    expect(scenario.at("t").stale).toBeNull()
    expect(pass(quarterMs)).toEqual(["owner", { agent: "ann" }])
    scenario.must("task.update", ann, { task: "t", fence, progress: 0.6, note: null })
    // No hub ran meanwhile: the operator is not told before the owner is.
    scenario.wait(2 * quarterMs)
    expect(pass(1)).toEqual(["owner", { agent: "ann" }, "operator", { role: "operator" }])
    expect(pass(10 * quarterMs)).toEqual([])
  })
})
