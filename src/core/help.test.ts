import { describe, expect, it } from "vitest"
import { OPERATOR, Scenario } from "../../test/scenario.ts"
import { openNotices } from "./directive.ts"

const reason = "stuck"

describe("help", () => {
  it("is asked of idle workers that match, those with a live session first, fifty at the most", () => {
    const scenario = new Scenario()
    const ann = scenario.agent("ann", { capabilities: { rust: 1 } })
    scenario.task("t", { requires: { rust: 1 } })
    const fence = scenario.claim(ann, "t")
    scenario.task("busy")
    // Whoever is not to be told would be among the first fifty by name.
    const able = { capabilities: { rust: 2 } }
    scenario.claim(scenario.agent("a-busy", able), "busy")
    scenario.agent("a-unable")
    scenario.agent("a-boss", { ...able, role: "orchestrator" })
    scenario.must("agent.add", OPERATOR, { name: "0-away", ...able })
    for (let at = 0; at < 50; at++) scenario.agent(`b${at}`, able)
    const { answer, entries } = scenario.must("help.want", ann, { task: "t", fence, reason })
    expect(answer.told).toBe(50)
    const told = entries.flatMap(({ type, data }) => (type === "event.sent" ? [(data as { to: { agent: string } }).to.agent] : []))
    expect(told).toEqual(Array.from({ length: 50 }, (_, at) => `b${at}`).sort())
    expect(scenario.must("help.want", ann, { task: "t", fence, reason }).entries).toEqual([])
  })

  it("is given by the first to answer; the owner keeps the lease and is told", () => {
    const scenario = new Scenario()
    const [ann, bob, cat] = [scenario.agent("ann"), scenario.agent("bob"), scenario.agent("cat")]
    scenario.task("t")
    const fence = scenario.claim(ann, "t")
    scenario.refuses("wrong_status", "help.answer", bob, { task: "t" })
    scenario.must("help.want", ann, { task: "t", fence, reason })
    scenario.refuses("forbidden", "help.answer", ann, { task: "t" })
    scenario.refuses("not_found", "help.answer", bob, { task: "none" })
    expect(scenario.must("help.answer", bob, { task: "t" }).answer.owner).toBe("ann")
    expect(scenario.must("help.answer", bob, { task: "t" }).entries).toEqual([])
    expect(scenario.refuses("help_taken", "help.answer", cat, { task: "t" }).details).toMatchObject({ helper: "bob" })
    expect(scenario.at("t")).toMatchObject({ owner: "ann", fence, helpWanted: { reason, helper: "bob" } })
    expect(openNotices(scenario.state, ann)).toMatchObject([{ directive: "nudge", task: "t" }])
    scenario.refuses("not_owner", "task.update", bob, { task: "t", fence, progress: 1, note: null })
  })

  it("is over with the lease, and not given by who is retired", () => {
    const scenario = new Scenario()
    const [ann, bob] = [scenario.agent("ann"), scenario.agent("bob")]
    scenario.task("t")
    const fence = scenario.claim(ann, "t")
    scenario.must("help.want", ann, { task: "t", fence, reason })
    scenario.must("agent.retire", OPERATOR, { name: "bob", reason })
    scenario.refuses("retired", "help.answer", bob, { task: "t" })
    scenario.must("task.release", ann, { task: "t", fence, reason })
    expect(scenario.at("t").helpWanted).toBeNull()
  })

  it("may be asked for again, and given by another, once the helper is retired", () => {
    const scenario = new Scenario()
    const [ann, bob, cat] = [scenario.agent("ann"), scenario.agent("bob"), scenario.agent("cat")]
    scenario.task("t")
    const fence = scenario.claim(ann, "t")
    scenario.must("help.want", ann, { task: "t", fence, reason })
    scenario.must("help.answer", bob, { task: "t" })
    expect(scenario.must("help.want", ann, { task: "t", fence, reason }).entries).toEqual([])
    scenario.must("agent.retire", OPERATOR, { name: "bob", reason })
    expect(scenario.must("help.want", ann, { task: "t", fence, reason }).answer.told).toBe(1)
    scenario.must("help.answer", cat, { task: "t" })
    expect(scenario.at("t").helpWanted).toEqual({ reason, helper: "cat" })
    scenario.must("agent.retire", OPERATOR, { name: "cat", reason })
    scenario.must("help.answer", scenario.agent("dan"), { task: "t" })
    expect(scenario.at("t").helpWanted).toEqual({ reason, helper: "dan" })
  })
})
