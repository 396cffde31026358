import { describe, expect, it } from "vitest"
import { reserve, team, wish } from "../../test/file-wishes.ts"
import { OPERATOR, Scenario, types } from "../../test/scenario.ts"
import { type Actor, HUB } from "./entry.ts"
import type { FileConflict } from "./file-conflict.ts"
import { FILE_LEASES_MAX } from "./files.ts"

describe("files", () => {
  it("are one agent's at a time, also where they do not exist yet; the refusal says who, which and until when", () => {
    const { scenario, ann, bob } = team()
    const { answer, entries } = scenario.must("files.reserve", ann, wish(["src/core/**", "docs/*.md"]))
    expect(answer).toMatchObject({ lease: `f${entries[0]?.seq}`, fence: entries[0]?.seq, endsAtMs: scenario.nowMs + 900_000 })
    const refused = scenario.refuses("files_conflict", "files.reserve", bob, wish(["lib/a.ts", "**/files.ts"]))
    const [conflict, ...others] = refused.details["conflicts"] as FileConflict[]
    expect(others).toEqual([])
    expect(conflict).toEqual({
      agent: "ann",
      session: ann.session,
      mode: "exclusive",
      lease: answer.lease,
      task: null,
      endsAtMs: answer.endsAtMs,
      reason: "work",
      glob: "**/files.ts",
      theirs: "src/core/**",
      path: "src/core/files.ts",
    })
    expect(refused.message).toContain("ann holds exclusive until 2023-11-14T22:28:20Z")
    // All or none: what was free is not bob's either.
    expect(scenario.state.files.size).toBe(1)
    reserve(scenario, bob, ["lib/a.ts"])
  })

  it("cannot keep the hub from everybody else, however their globs are made", () => {
    const { scenario, ann, bob } = team()
    const worst = (end: string): string[] => Array.from({ length: 64 }, (_, at) => `${"*a".repeat(60)}${"b".repeat(300)}${at}[${end}]b`)
    for (let lease = 0; lease < 8; lease += 1) reserve(scenario, ann, worst(`${lease}`))
    // Compared to the end it would be 32,768 pairs of 0.1 s each: what takes too long to tell is taken for a conflict, and named.
    const refused = scenario.refuses("files_conflict", "files.reserve", bob, wish(worst("y")))
    expect((refused.details["conflicts"] as FileConflict[]).length).toBeLessThanOrEqual(20)
    // What is plain to tell is still told apart.
    reserve(scenario, bob, ["src/**", "docs/a.md", "**/*.ts"])
  })

  it("can be held shared by many, and then by nobody alone", () => {
    const { scenario, ann, bob } = team()
    reserve(scenario, ann, ["docs/**"], { mode: "shared" })
    reserve(scenario, bob, ["docs/*.md"], { mode: "shared" })
    scenario.refuses("files_conflict", "files.reserve", bob, wish(["docs/a.md"]))
  })

  it("are never in an agent's own way, whichever session asks", () => {
    const { scenario, ann } = team()
    reserve(scenario, ann, ["src/**"])
    reserve(scenario, scenario.session("ann"), ["src/a.ts"])
    expect(scenario.state.files.size).toBe(2)
  })

  it("that are asked for again are renewed under the same fence", () => {
    const { scenario, ann } = team()
    const lease = reserve(scenario, ann, ["src/**"])
    scenario.wait(1_000)
    const again = scenario.must("files.reserve", ann, wish(["src/**"]))
    expect(types(again)).toEqual(["files.renewed"])
    expect(again.answer).toMatchObject({ lease, endsAtMs: scenario.nowMs + 900_000 })
  })

  it.each([
    ["src/[", "invalid_glob", 4],
    ["../x", "outside_repository", 0],
    ["/etc/**", "outside_repository", 0],
    ["src/a\u0000b", "invalid_glob", 5],
  ] as const)("named by %j are refused with the place", (glob, code, position) => {
    const { scenario, ann } = team()
    expect(scenario.refuses(code, "files.reserve", ann, wish(["ok", glob])).details).toMatchObject({ index: 1, position })
  })

  it("are bounded for each agent", () => {
    const { scenario, ann } = team()
    for (let n = 0; n < FILE_LEASES_MAX; n++) reserve(scenario, ann, [`f/${n}`])
    scenario.refuses("at_limit", "files.reserve", ann, wish(["g"]))
  })

  it("are released whole, in part, by their holder or the operator alone", () => {
    const { scenario, ann, bob } = team()
    const lease = reserve(scenario, ann, ["a", "b", "c"])
    scenario.refuses("not_owner", "files.release", bob, { lease, globs: null, reason: "r" })
    scenario.refuses("not_found", "files.release", ann, { lease, globs: ["x"], reason: "r" })
    expect(scenario.must("files.release", ann, { lease: null, globs: ["a"], reason: "r" }).answer).toMatchObject({ released: [], globs: ["a"] })
    reserve(scenario, bob, ["a"])
    scenario.refuses("files_conflict", "files.reserve", bob, wish(["b"]))
    expect(scenario.must("files.release", OPERATOR, { lease, globs: null, reason: "r" }).answer).toMatchObject({ released: [lease], globs: ["b", "c"] })
    scenario.refuses("not_found", "files.release", ann, { lease, globs: null, reason: "r" })
    expect(scenario.must("files.release", ann, { lease: null, globs: null, reason: "r" }).entries).toEqual([])
  })
})

describe("a lease on files", () => {
  it("lasts its full length again with a sign of life, once a third of it has gone by", () => {
    const { scenario, ann } = team()
    reserve(scenario, ann, ["a"], { ttlMs: 60_000 })
    const leftMs = (): number => ([...scenario.state.files.values()][0]?.endsAtMs ?? 0) - scenario.nowMs
    const beat = (): unknown => scenario.must("hub.sweep", HUB, { beats: [ann.session as string], silent: [] })
    scenario.wait(19_999)
    beat()
    expect(leftMs()).toBe(40_001)
    scenario.wait(1)
    beat()
    expect(leftMs()).toBe(60_000)
  })

  it("ends at the sweep after its end, and not before a beat that came in time was counted", () => {
    const { scenario, ann, bob } = team()
    reserve(scenario, ann, ["a"], { ttlMs: 60_000 })
    const lease = reserve(scenario, bob, ["b"], { ttlMs: 60_000 })
    scenario.wait(60_000)
    expect(scenario.state.board.nextLeaseEndMs).toBe(scenario.nowMs)
    scenario.refuses("stale_fence", "files.renew", bob, { lease })
    const swept = scenario.must("hub.sweep", HUB, { beats: [ann.session as string], silent: [] })
    expect(types(swept)).toEqual(["leases.renewed", "files.ended"])
    expect(swept.entries[1]?.data).toEqual({ leases: [lease], reason: "expired" })
    expect([...scenario.state.files.values()].map(({ globs, endsAtMs }) => [globs, endsAtMs - scenario.nowMs])).toEqual([[["a"], 60_000]])
  })

  it("lasts as long as its session does anything, and for a caller without a session as long as that does", () => {
    const { scenario, ann, bob } = team()
    const shell: Actor = { agent: "bob", session: null, role: "worker" }
    const lease = reserve(scenario, ann, ["a"], { ttlMs: 60_000 })
    const ofSession = reserve(scenario, bob, ["c"], { ttlMs: 60_000 })
    const other = reserve(scenario, shell, ["b"], { ttlMs: 60_000 })
    scenario.wait(50_000)
    scenario.task("t")
    expect(scenario.state.files.get(lease)?.endsAtMs).toBe(scenario.nowMs + 10_000)
    scenario.claim(ann, "t")
    expect(scenario.state.files.get(lease)?.endsAtMs).toBe(scenario.nowMs + 60_000)
    expect(scenario.state.files.get(other)?.endsAtMs).toBe(scenario.nowMs + 10_000)
    scenario.must("event.send", shell, {
      kind: "info",
      directive: null,
      to: { everyone: true },
      task: null,
      priority: "low",
      text: "",
      payload: {},
      requiresAck: false,
    })
    expect(scenario.state.files.get(other)?.endsAtMs).toBe(scenario.nowMs + 60_000)
    // What its agent does at a shell is no sign of a session's life.
    expect(scenario.state.files.get(ofSession)?.endsAtMs).toBe(scenario.nowMs + 10_000)
  })

  it("ends with its session, when that is lost, and when its agent retires", () => {
    const { scenario, ann, bob } = team()
    reserve(scenario, ann, ["a"])
    reserve(scenario, bob, ["b"])
    const cat = scenario.agent("cat")
    reserve(scenario, cat, ["c"])
    expect(types(scenario.must("session.end", ann, { session: ann.session as string, reason: "r" }))).toEqual(["files.ended", "session.ended"])
    expect(types(scenario.must("hub.sweep", HUB, { beats: [], silent: [{ id: bob.session as string, silentMs: 45_000 }] }))).toEqual([
      "session.lost",
      "files.ended",
    ])
    expect(types(scenario.must("agent.retire", OPERATOR, { name: "cat", reason: "r" }))).toContain("files.ended")
    expect(scenario.state.files.size).toBe(0)
    expect(scenario.state.board.holdings.size).toBe(0)
  })

  it("goes on in a new session of its agent once that renews it", () => {
    const { scenario, ann } = team()
    const lease = reserve(scenario, ann, ["a"])
    scenario.must("files.renew", scenario.session("ann"), { lease })
    scenario.must("session.end", ann, { session: ann.session as string, reason: "r" })
    expect(scenario.state.files.has(lease)).toBe(true)
  })

  it("gets its time of grace when the hub starts again", () => {
    const { scenario, ann } = team()
    const lease = reserve(scenario, ann, ["a"], { ttlMs: 1_000 })
    scenario.wait(5_000)
    scenario.must("hub.start", HUB, { graceMs: 15_000 })
    expect(scenario.state.files.get(lease)?.endsAtMs).toBe(scenario.nowMs + 15_000)
  })

  it.each([
    ["completed", (s: Scenario, ann: Actor) => s.complete(ann, "t")],
    [
      "failed",
      (s: Scenario, ann: Actor) =>
        s.must("task.fail", ann, {
          task: "t",
          fence: s.at("t").fence ?? 0,
          reason: "r",
          retry: false,
          usage: { costMicroUsd: 0, inputTokens: 0, outputTokens: 0 },
        }),
    ],
    ["released", (s: Scenario, ann: Actor) => s.must("task.release", ann, { task: "t", fence: s.at("t").fence ?? 0, reason: "r" })],
    ["taken away", (s: Scenario) => s.must("lease.end", OPERATOR, { task: "t", reason: "r" })],
    ["reset", (s: Scenario) => s.must("task.reset", OPERATOR, { task: "t", reason: "r" })],
    ["cancelled", (s: Scenario) => s.must("task.cancel", OPERATOR, { task: "t", reason: "r" })],
  ])("that was taken for a task goes when the task is %s", (_, end) => {
    const { scenario, ann, bob } = team()
    scenario.task("t", { touches: ["src/**"] })
    const fence = scenario.claim(ann, "t")
    reserve(scenario, ann, ["lib/**"], { task: "t", fence })
    reserve(scenario, ann, ["own"])
    scenario.refuses("files_conflict", "files.reserve", bob, wish(["src/a"]))
    end(scenario, ann)
    expect([...scenario.state.files.values()].map(({ globs }) => globs)).toEqual([["own"]])
    reserve(scenario, bob, ["src/a", "lib/a"])
  })

  it("is taken for a task by whoever holds it alone", () => {
    const { scenario, ann, bob } = team()
    scenario.task("t")
    scenario.refuses("wrong_status", "files.reserve", ann, wish(["a"], { task: "t" }))
    const fence = scenario.claim(ann, "t")
    scenario.refuses("not_owner", "files.reserve", bob, wish(["a"], { task: "t" }))
    scenario.refuses("stale_fence", "files.reserve", ann, wish(["a"], { task: "t", fence: fence + 1 }))
    scenario.refuses("not_found", "files.reserve", ann, wish(["a"], { task: "none" }))
    reserve(scenario, ann, ["a"], { task: "t" })
  })
})

describe("what a task touches", () => {
  it("is reserved by its claim: another task that meets it is refused, and passed over by whoever asks for the next", () => {
    const { scenario, ann, bob } = team()
    scenario.task("core", { touches: ["src/core/**"], priority: "high" })
    scenario.task("glob", { touches: ["src/core/glob.ts"], priority: "high" })
    scenario.task("docs", { touches: ["docs/**"] })
    scenario.claim(ann, "core")
    const refused = scenario.refuses("files_conflict", "task.claim", bob, { task: "glob" })
    expect(refused.details).toMatchObject({ task: "glob", heldBy: "ann", conflicts: [{ agent: "ann", lease: null, task: "core", path: "src/core/glob.ts" }] })
    expect(scenario.next(bob)).toEqual(["docs"])
    scenario.refuses("nothing_ready", "task.claimNext", bob, { plan: null, labels: [], filler: null, max: 1 })
    // The holder itself is not in its own way.
    expect(scenario.next(ann)).toEqual(["glob"])
  })

  it("stays reserved while its review waits", () => {
    const { scenario, ann, bob } = team()
    scenario.task("t", { touches: ["src/**"], review: true })
    scenario.claim(ann, "t")
    scenario.complete(ann, "t")
    expect(scenario.at("t").status).toBe("review")
    scenario.refuses("files_conflict", "files.reserve", bob, wish(["src/a"]))
    scenario.must("task.review", bob, { task: "t", approve: true, reason: "r" })
    reserve(scenario, bob, ["src/a"])
  })

  it("follows an edit of the task, which is refused where it would meet another's files", () => {
    const { scenario, ann, bob } = team()
    scenario.task("t", { touches: ["a"] })
    scenario.claim(ann, "t")
    reserve(scenario, bob, ["b"])
    scenario.refuses("files_conflict", "task.edit", OPERATOR, { task: "t", reason: "r", changes: { touches: ["b"] } })
    scenario.must("task.edit", OPERATOR, { task: "t", reason: "r", changes: { touches: ["c"] } })
    reserve(scenario, bob, ["a"])
    scenario.refuses("files_conflict", "files.reserve", bob, wish(["c"]))
  })

  it("does not keep the task itself from the next agent when its lease has run out", () => {
    const { scenario, ann, bob } = team()
    scenario.task("t", { touches: ["src/**"] })
    scenario.claim(ann, "t")
    scenario.wait(120_000)
    expect(types(scenario.must("task.claim", bob, { task: "t" }))).toEqual(["lease.ended", "task.claimed"])
    scenario.refuses("files_conflict", "files.reserve", ann, wish(["src/a"]))
  })
})
