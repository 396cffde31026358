import { describe, expect, it } from "vitest"
import { OPERATOR, Scenario, types } from "../../test/scenario.ts"
import { DEFAULT_PROFILE } from "./agent.ts"
import { viewAgent } from "./view.ts"

const reason = "because"
const DAY_MS = 24 * 3_600_000

describe("an agent", () => {
  it("has a name of its own, and every field of a profile", () => {
    const scenario = new Scenario()
    scenario.must("agent.add", OPERATOR, { name: "ann", capabilities: { rust: 3 }, maxActive: 2 })
    expect(scenario.state.agents.get("ann")).toEqual({
      ...DEFAULT_PROFILE,
      name: "ann",
      capabilities: { rust: 3 },
      maxActive: 2,
      status: "present",
      addedAtMs: scenario.nowMs,
      credentials: {},
    })
    scenario.refuses("already_exists", "agent.add", OPERATOR, { name: "ann" })
    for (const name of ["", "hub", "operator", "-x", "a b", "a/b", "x".repeat(65), "ä"]) scenario.refuses("invalid", "agent.add", OPERATOR, { name })
    scenario.refuses("invalid", "agent.add", OPERATOR, { name: "operator", role: "orchestrator" })
    scenario.must("agent.add", OPERATOR, { name: "operator", role: "operator" })
  })

  it("has room for as many tasks as its tier says, unless it says so itself; and no trace of a tier where it has none", () => {
    const scenario = new Scenario()
    scenario.must("agent.add", OPERATOR, { name: "ann", tier: 3 })
    scenario.must("agent.add", OPERATOR, { name: "bob", tier: 3, maxActive: 1 })
    scenario.must("agent.add", OPERATOR, { name: "cat" })
    const room = (name: string) => scenario.state.agents.get(name)?.maxActive
    expect([room("ann"), room("bob"), room("cat")]).toEqual([3, 1, 1])
    scenario.must("agent.edit", OPERATOR, { name: "ann", tier: 2, reason })
    scenario.must("agent.edit", OPERATOR, { name: "bob", tier: 2, maxActive: 5, reason })
    expect([room("ann"), room("bob")]).toEqual([2, 5])
    // Its text in the digest is what it was before there were such fields.
    const cat = scenario.state.agents.get("cat") as object
    expect(Object.keys(cat)).toEqual(["name", "status", "addedAtMs", "credentials", ...Object.keys(DEFAULT_PROFILE)])
  })

  it("is edited with a reason, and what it holds stays with it", () => {
    const scenario = new Scenario()
    const ann = scenario.agent("ann", { maxActive: 2, capabilities: { rust: 1 } })
    scenario.task("a", { requires: { rust: 1 } })
    scenario.task("b")
    scenario.claim(ann, "a")
    scenario.must("agent.edit", OPERATOR, { name: "ann", reason, capabilities: {}, maxActive: 1 })
    expect(scenario.at("a").owner).toBe("ann")
    scenario.refuses("at_limit", "task.claim", ann, { task: "b" })
    scenario.complete(ann, "a")
    scenario.refuses("not_found", "agent.edit", OPERATOR, { name: "nobody", reason })
  })

  it("that is retired leaves nothing behind: leases, sessions, credentials and notices end, and it does not come back", () => {
    const scenario = new Scenario()
    const ann = scenario.agent("ann", { maxActive: 2 })
    const second = scenario.session("ann")
    for (const id of ["a", "b"]) scenario.task(id)
    scenario.claim(ann, "a")
    scenario.claim(second, "b")
    scenario.must("credential.issue", OPERATOR, { agent: "ann", id: "c1", hash: "00" })
    scenario.must("event.send", OPERATOR, {
      kind: "info",
      directive: null,
      to: { agent: "ann" },
      task: null,
      priority: "low",
      text: "",
      payload: {},
      requiresAck: true,
    })
    expect(types(scenario.must("agent.retire", OPERATOR, { name: "ann", reason }))).toEqual([
      "lease.ended",
      "lease.ended",
      "session.ended",
      "session.ended",
      "agent.retired",
    ])
    expect(scenario.state.agents.get("ann")?.status).toBe("retired")
    expect(scenario.state.agents.get("ann")?.credentials).toEqual({})
    expect([...scenario.state.sessions.values()].map((session) => session.status)).toEqual(["ended", "ended"])
    expect(scenario.state.notices.size).toBe(0)
    expect(scenario.at("a")).toMatchObject({ status: "pending", attempts: 1, reason: "agent_retired" })
    for (const code of ["retired"] as const) {
      scenario.refuses(code, "agent.retire", OPERATOR, { name: "ann", reason })
      scenario.refuses(code, "agent.edit", OPERATOR, { name: "ann", reason })
      scenario.refuses(code, "credential.issue", OPERATOR, { agent: "ann", id: "c2", hash: "00" })
      scenario.refuses(code, "session.start", OPERATOR, { id: "s_x", agent: "ann", runtime: "r", resumeId: null, owned: true })
    }
    scenario.refuses("already_exists", "agent.add", OPERATOR, { name: "ann" })
  })

  it("holds the hashes of its live credentials; a view names them without", () => {
    const scenario = new Scenario()
    scenario.agent("ann")
    for (const id of ["c1", "c2"]) scenario.must("credential.issue", OPERATOR, { agent: "ann", id, hash: `hash-${id}` })
    scenario.must("credential.revoke", OPERATOR, { agent: "ann", id: "c1", reason })
    const agent = scenario.state.agents.get("ann")
    expect(agent?.credentials).toEqual({ c2: "hash-c2" })
    expect(JSON.stringify(agent === undefined ? null : viewAgent(scenario.state, agent))).not.toContain("hash-c2")
    for (const id of ["c1", "constructor", "toString"]) scenario.refuses("not_found", "credential.revoke", OPERATOR, { agent: "ann", id, reason })
  })
})

describe("a session", () => {
  it("is started by its own agent, a supervisor or the operator, and has the agent's heartbeat", () => {
    const scenario = new Scenario()
    const ann = scenario.agent("ann", { heartbeatMs: 500 })
    const bob = scenario.agent("bob")
    const start = (id: string): { id: string; agent: string; runtime: string; resumeId: null; owned: boolean } => ({
      id,
      agent: "ann",
      runtime: "r",
      resumeId: null,
      owned: true,
    })
    scenario.refuses("forbidden", "session.start", bob, start("s_1"))
    scenario.refuses("forbidden", "session.start", { ...bob, role: "orchestrator" }, start("s_1"))
    expect(scenario.must("session.start", ann, start("s_1")).answer).toMatchObject({ session: "s_1", agent: "ann", heartbeatMs: 500 })
    scenario.must("session.start", { ...bob, role: "supervisor" }, start("s_2"))
    scenario.refuses("already_exists", "session.start", ann, start("s_2"))
    scenario.refuses("not_found", "session.start", OPERATOR, { ...start("s_3"), agent: "nobody" })
  })

  it("of a supervisor that has ended keeps no other: neither one that it adopts nor one that it starts", () => {
    const scenario = new Scenario()
    const ann = scenario.agent("ann")
    const keeper = scenario.agent("keeper", { role: "supervisor" })
    const adopt = { session: ann.session ?? "", resumeId: null }
    const start = { id: "s_1", agent: "ann", runtime: "r", resumeId: null, owned: true }
    scenario.must("session.adopt", keeper, adopt)
    scenario.must("session.end", keeper, { session: keeper.session ?? "", reason })
    scenario.refuses("wrong_status", "session.adopt", keeper, { ...adopt, resumeId: "learnt" })
    scenario.refuses("wrong_status", "session.start", keeper, start)
    scenario.must("session.start", { ...keeper, session: null }, start)
    expect(scenario.state.sessions.get("s_1")).not.toHaveProperty("managedBy")
  })

  it("ends with its leases, once; not what another session of the agent holds", () => {
    const scenario = new Scenario()
    const one = scenario.agent("ann", { maxActive: 2 })
    const two = scenario.session("ann")
    for (const id of ["a", "b"]) scenario.task(id)
    scenario.claim(one, "a")
    scenario.claim(two, "b")
    const end = { session: one.session ?? "", reason }
    scenario.refuses("forbidden", "session.end", scenario.agent("bob"), end)
    expect(types(scenario.must("session.end", one, end))).toEqual(["lease.ended", "session.ended"])
    expect(types(scenario.must("session.end", one, end))).toEqual([])
    expect([scenario.at("a").status, scenario.at("b").status]).toEqual(["pending", "claimed"])
    scenario.refuses("not_found", "session.end", one, { session: "s_none", reason })
  })

  it("that ended or was lost is forgotten a day later, when its agent starts another; a live one never", () => {
    const scenario = new Scenario()
    const [ended, lost, live] = [scenario.agent("ann"), scenario.session("ann"), scenario.session("ann")]
    scenario.must("session.end", ended, { session: ended.session ?? "", reason })
    scenario.must("hub.sweep", OPERATOR, { beats: [], silent: [{ id: lost.session ?? "", silentMs: 45_000 }] })
    scenario.wait(DAY_MS)
    const fourth = scenario.session("ann")
    expect(scenario.state.sessions.size).toBe(4)
    scenario.wait(1)
    const fifth = scenario.session("ann")
    expect([...scenario.state.sessions.keys()]).toEqual([live, fourth, fifth].map((actor) => actor.session))
    expect(scenario.state.board.sessionsOf("ann").map((session) => session.id)).toEqual([live, fourth, fifth].map((actor) => actor.session))
  })
})
