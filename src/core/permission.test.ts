import { describe, expect, it } from "vitest"
import { OPERATOR } from "../../test/scenario.ts"
import { Waking } from "../../test/waking.ts"
import { ENDED_MAX, OPEN_MAX, type Permission } from "./permission.ts"
import { fromSnapshot, takeSnapshot } from "./workspace.ts"

const OPTIONS = [
  { id: "yes", name: "Yes", kind: "allow_once" },
  { id: "no", name: "No", kind: "reject_once" },
]

function asks(waking: Waking, rule: { name: string; option: string | null } | null = null, agent = "bob"): number {
  return waking.must("permission.ask", waking.keeper, { agent, session: null, title: "rm -r build", kind: "execute", options: OPTIONS, rule }).answer.permission
}

function here(): Waking {
  const waking = new Waking()
  waking.agent("bob")
  return waking
}

const of = (waking: Waking, id: number): Permission | undefined => waking.state.permissions.get(String(id))

describe("a request for leave", () => {
  it("is told to the operator, answered once by one of its options, and each step is an entry", () => {
    const waking = here()
    const { entries, answer } = waking.must("permission.ask", waking.keeper, {
      agent: "bob",
      session: null,
      title: "rm -r build",
      kind: null,
      options: OPTIONS,
      rule: null,
    })
    expect(entries.map(({ type }) => type)).toEqual(["permission.asked", "event.sent"])
    expect(answer).toMatchObject({ permission: entries[0]?.seq, status: "open", option: null, untilMs: waking.nowMs + 600_000 })
    expect(entries[1]?.data).toMatchObject({ to: { role: "operator" }, payload: { permission: answer.permission, options: ["yes", "no"] } })
    waking.refuses("invalid", "permission.answer", OPERATOR, { permission: answer.permission, option: "maybe", reason: "r" })
    waking.must("permission.answer", OPERATOR, { permission: answer.permission, option: "yes", reason: "it is a build folder" })
    expect(of(waking, answer.permission)).toMatchObject({
      status: "answered",
      option: "yes",
      by: "olga",
      reason: "it is a build folder",
      endedAtMs: waking.nowMs,
    })
    const again = waking.refuses("wrong_status", "permission.answer", OPERATOR, { permission: answer.permission, option: "no", reason: "r" })
    expect(again.remedy).toContain("The first answer stands")
    waking.refuses("not_found", "permission.answer", OPERATOR, { permission: 1, option: "no", reason: "r" })
  })

  it("that a rule decides is asked and answered at once, and nobody is told; an option that is not there decides nothing", () => {
    const waking = here()
    const input = { agent: "bob", session: null, title: "t", kind: null, options: OPTIONS }
    const { entries, answer } = waking.must("permission.ask", waking.keeper, { ...input, rule: { name: "permissions[0]", option: "yes" } })
    expect(entries.map(({ type }) => type)).toEqual(["permission.asked", "permission.answered"])
    expect(answer).toMatchObject({ status: "answered", option: "yes" })
    expect(of(waking, asks(waking, { name: "permissions[1]", option: null }))).toMatchObject({
      status: "answered",
      option: null,
      rule: "permissions[1]",
      by: "keeper",
    })
    waking.refuses("invalid", "permission.ask", waking.keeper, { ...input, rule: { name: "x", option: "maybe" } })
    waking.refuses("invalid", "permission.ask", waking.keeper, { ...input, options: [OPTIONS[0]!, OPTIONS[0]!], rule: null })
  })

  it("is refused at the end of its time, not before, by the hub's own sweep", () => {
    const waking = here()
    const id = asks(waking)
    waking.wait(599_999)
    expect(waking.sweep()).toEqual([])
    waking.wait(1)
    waking.refuses("wrong_status", "permission.answer", OPERATOR, { permission: id, option: "yes", reason: "late" })
    expect(waking.sweep()).toEqual(["permission.ended"])
    expect(waking.sweep()).toEqual([])
    expect(of(waking, id)).toMatchObject({ status: "expired", option: null })
  })

  it("is withdrawn when its agent is retired: nobody gives leave to who is gone", () => {
    const waking = here()
    const id = asks(waking)
    waking.must("agent.retire", OPERATOR, { name: "bob", reason: "r" })
    waking.sweep()
    expect(of(waking, id)).toMatchObject({ status: "withdrawn", reason: "bob is retired" })
    waking.refuses("wrong_status", "permission.answer", OPERATOR, { permission: id, option: "yes", reason: "r" })
  })

  it("is withdrawn with its turn, and where the supervisor that waited for it has gone", () => {
    const waking = here()
    const [first, second] = [asks(waking), asks(waking)]
    waking.must("permission.withdraw", waking.keeper, { permission: first, reason: "the turn was ended" })
    expect(waking.must("permission.withdraw", waking.keeper, { permission: first, reason: "again" }).entries).toEqual([])
    expect(of(waking, first)).toMatchObject({ status: "withdrawn", reason: "the turn was ended" })
    waking.must("session.end", waking.keeper, { session: waking.keeper.session as string, reason: "gone" })
    expect(waking.sweep()).toEqual(["permission.ended"])
    expect(of(waking, second)).toMatchObject({ status: "withdrawn" })
  })

  it("that has ended is kept among the last of its agent, and only there", () => {
    const waking = here()
    waking.agent("cat")
    const others = asks(waking, { name: "permissions[0]", option: "yes" }, "cat")
    const open = asks(waking)
    const ids = Array.from({ length: ENDED_MAX + 3 }, () => asks(waking, { name: "permissions[0]", option: "yes" }))
    const kept = (): number[] => [...waking.state.permissions.keys()].map(Number).sort((a, b) => a - b)
    expect(kept()).toEqual([others, open, ...ids.slice(2)])
    const again = fromSnapshot(takeSnapshot(waking.state))
    expect(again.jobs.permissionsOf("bob")).toEqual(waking.state.jobs.permissionsOf("bob"))
  })

  it("comes back with a snapshot, is bounded for each agent, and forgotten a day after its end", () => {
    const waking = here()
    const ids = Array.from({ length: OPEN_MAX }, () => asks(waking))
    const another = { agent: "bob", session: null, title: "t", kind: null, options: OPTIONS, rule: null }
    expect(waking.refuses("at_limit", "permission.ask", waking.keeper, another).details).toEqual({ limit: 16 })
    waking.agent("cat")
    ids.push(asks(waking, null, "cat"))
    expect(
      fromSnapshot(takeSnapshot(waking.state))
        .jobs.openPermissions()
        .map(({ id }) => id),
    ).toEqual(ids)
    for (const id of ids) waking.must("permission.answer", OPERATOR, { permission: id, option: null, reason: "no" })
    waking.wait(86_400_001)
    asks(waking)
    expect(waking.state.jobs.permissionsOf("bob")).toHaveLength(1)
  })
})
