import { describe, expect, it } from "vitest"
import { OPERATOR, Scenario } from "../../test/scenario.ts"
import { Waking } from "../../test/waking.ts"
import { type Actor, HUB } from "./entry.ts"
import { alertKeys, alertsOf } from "./alerts.ts"

const told = (waking: Waking): { kind: string; agent: string | null; remedy: string }[] => alertsOf(waking.state, waking.nowMs)

describe("a wake is told of where somebody has to act", () => {
  it("when it was given up: until it is sent again, a day has passed, or its agent is retired", () => {
    const waking = new Waking()
    waking.asleep("bob")
    const id = waking.ask(waking.ann, "bob")
    const dies = (): void => void waking.record(waking.claim_(["bob"])[0]!, "failed", { code: "SPAWN_FAILED", detail: "no such program" })
    dies()
    expect(told(waking)).toMatchObject([{ kind: "dead_wake", agent: "bob", text: expect.stringContaining("no such program") as string }])
    expect(told(waking)[0]?.remedy).toContain(`skein trigger retry ${id} --reason`)
    waking.must("trigger.retry", OPERATOR, { job: id, reason: "mended", force: false })
    expect(told(waking)).toEqual([])
    dies()
    waking.wait(86_399_999)
    expect(told(waking)).toHaveLength(1)
    waking.wait(1)
    expect(told(waking)).toEqual([])
    waking.must("trigger.retry", OPERATOR, { job: id, reason: "again", force: false })
    dies()
    waking.must("agent.retire", OPERATOR, { name: "bob", reason: "r" })
    expect(told(waking)).toEqual([])
  })

  it("when no supervisor takes it, and no longer than that", () => {
    const waking = new Waking()
    waking.asleep("bob")
    waking.ask(waking.ann, "bob")
    waking.wait(14_999)
    waking.sweep()
    expect(told(waking)).toEqual([])
    waking.wait(1)
    waking.sweep()
    expect(told(waking)).toMatchObject([{ kind: "no_supervisor", agent: "bob", remedy: expect.stringContaining("skein up --supervise") as string }])
    waking.claim_(["bob"])
    expect(told(waking)).toEqual([])
  })

  it("when a person's pane kept it waiting too long, with the way to force it", () => {
    const waking = new Waking()
    waking.agent("bob")
    const id = waking.ask(waking.ann, "bob")
    const deferred = (): void => void waking.record(waking.claim_(["bob"])[0]!, "deferred", { code: "MENU_OPEN" })
    deferred()
    expect(told(waking)).toEqual([])
    waking.wait(60_000)
    deferred()
    expect(told(waking)).toMatchObject([{ kind: "deferred_wake", agent: "bob", remedy: expect.stringContaining(`${id} --force`) as string }])
    waking.must("trigger.cancel", waking.boss, { job: id, reason: "not needed" })
    expect(told(waking)).toEqual([])
  })
})

it("a task that can never become ready is told with what is to be opened again for it", () => {
  const scenario = new Scenario()
  scenario.task("first")
  scenario.task("second", { dependsOn: ["first"] })
  scenario.task("third", { dependsOn: ["second"] })
  scenario.must("task.cancel", OPERATOR, { task: "first", reason: "r" })
  expect(alertsOf(scenario.state, 0)).toMatchObject([
    { kind: "unreachable_task", text: "second can never become ready: first was cancelled", remedy: "Open that again: skein task reset first --reason …" },
    { kind: "unreachable_task", text: "third can never become ready: second cannot either", remedy: "See what is in its way: skein task show second" },
  ])
})

it("a task that failed is told with why, work that stalls with whom to ask; of one kind twenty are told", () => {
  const scenario = new Scenario()
  const told = () => alertsOf(scenario.state, scenario.nowMs)
  const ann = scenario.agent("ann")
  scenario.task("slow")
  scenario.claim(ann, "slow")
  for (let minutes = 0; minutes < 16; minutes += 1) {
    scenario.wait(60_000)
    scenario.must("hub.sweep", HUB, { beats: [ann.session ?? ""], silent: [] })
  }
  expect(told()).toMatchObject([{ kind: "stale_task", task: "slow", agent: "ann", text: "slow had no update for 16 min" }])
  scenario.must("task.reset", OPERATOR, { task: "slow", reason: "r" })
  expect(told()).toEqual([])
  for (let at = 0; at < 21; at += 1) {
    scenario.task(`t${at}`, { maxAttempts: 1 })
    scenario.claim(ann, `t${at}`)
    scenario.must("lease.end", OPERATOR, { task: `t${at}`, reason: "r" })
  }
  expect(told()).toHaveLength(20)
  expect(told()[0]).toMatchObject({ kind: "failed_task", task: "t0", text: "t0 failed: its last attempt of 1 ended: operator" })
})

it("an agent is told as lost while its newest session is, and no longer once it works in another", () => {
  const scenario = new Scenario()
  const first = scenario.agent("ann")
  scenario.agent("bob")
  const lose = (actor: Actor): void => void scenario.must("hub.sweep", HUB, { beats: [], silent: [{ id: actor.session ?? "", silentMs: 45_000 }] })
  const lost = () => alertsOf(scenario.state, scenario.nowMs).map(({ kind, agent, about }) => [kind, agent, about])
  lose(first)
  expect(lost()).toEqual([["lost_agent", "ann", first.session]])
  scenario.wait(1)
  const second = scenario.session("ann")
  expect(lost()).toEqual([])
  lose(second)
  expect(lost()).toEqual([["lost_agent", "ann", second.session]])
  scenario.wait(1)
  const third = scenario.session("ann")
  scenario.must("session.end", third, { session: third.session ?? "", reason: "done" })
  expect(lost()).toEqual([])
})

it("an alert is told apart by what it is about, whatever its text counts to and whichever comes before it", () => {
  const denied = (about: string) => ({ kind: "policy_denied", task: null, agent: "ann", about })
  const [claim] = alertKeys([denied("task.claim")])
  const [newest, before] = alertKeys([denied("agent.list"), denied("task.claim")])
  expect(before).toBe(claim)
  expect(newest).not.toBe(claim)
  expect(new Set(alertKeys([denied("a"), denied("a"), denied("a")])).size).toBe(3)
})
