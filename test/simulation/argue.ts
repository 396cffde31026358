import type { Caller } from "./caller.ts"

/** Few, so that the same comes again: also written a little otherwise. */
const FINDINGS = ["The test  is flaky", "the test is flaky", "it leaks"]

/** Goes on and on in one thread, escalates it, or would continue it: whether it is in it or not. `task`: what it worked on last. */
export async function argue(caller: Caller, task: string | null): Promise<void> {
  const { chance } = caller.world
  const of = chance.happens(0.7) ? task : (chance.pick(caller.world.tasks()) ?? null)
  const thread = of === null || chance.happens(0.5) ? "talk-a" : `task/${of}`
  const dice = chance.below(12)
  if (dice < 2) return void (await caller.ask("thread.escalate", { thread, reason: "we do not agree" }))
  if (dice === 2) return void (await caller.ask("thread.unblock", { thread, reason: "it knows better" }))
  if (dice === 3) return void (await caller.ask("thread.setStatus", { thread, status: chance.pick(["active", "resolved"]), reason: "it is so" }))
  const finds = chance.happens(0.4)
  for (let left = chance.between(2, 9); left > 0; left -= 1) {
    const said = of !== null && chance.happens(0.2) ? await tell(caller, of) : await post(caller, thread, finds, of)
    if (said?.kind !== "ok" && chance.happens(0.7)) return
  }
}

/** Threads go round in circles earlier than they would by themselves. */
export async function hurryCircles(caller: Caller): Promise<void> {
  const { chance } = caller.world
  const changes = { turnsMax: chance.between(4, 20), findingsMax: chance.between(2, 4) }
  await caller.ask("wake.setPolicy", { changes, reason: "chaos" })
}

/** What the director does about it: continues what is blocked, and now and then what is not. */
export async function settleDispute(caller: Caller, blocked: readonly string[]): Promise<void> {
  const { chance } = caller.world
  if (chance.happens(0.05)) await hurryCircles(caller)
  const thread = chance.happens(0.1) ? "talk-a" : chance.pick(blocked)
  if (thread === undefined || chance.happens(0.3)) return
  if (chance.happens(0.2)) await post(caller, thread, false, null)
  const dice = chance.below(10)
  if (dice === 0) await caller.ask("thread.overrideClose", { thread, reason: "enough of it" })
  else if (dice === 1) await caller.ask("thread.setStatus", { thread, status: "active", reason: "goes on" })
  else await caller.ask("thread.unblock", { thread, reason: "goes on" })
}

/** Says what it found, or anything, now and then that there is a commit. `task`: what it may name. */
function post(caller: Caller, thread: string, finds: boolean, task: string | null): Promise<{ kind: "ok" | "error" } | null> {
  const { chance } = caller.world
  const line = finds && chance.happens(0.3) ? chance.between(1, 2) : null
  const where = { file: line === null ? null : "src/a.ts", line, endLine: line !== null && chance.happens(0.5) ? line + 1 : null }
  const eventType = finds ? "finding" : chance.happens(0.03) ? "commit" : null
  const metadata = { eventType, severity: null, task: chance.happens(0.1) ? task : null, ...where }
  const body = finds ? chance.pick(FINDINGS) : `once more, says ${caller.name}`
  return caller.ask("message.post", { thread, body, kind: chance.pick(["chat", "chat", "event"]), inReplyTo: null, metadata })
}

/** An event about a task is a turn of its thread, too. */
function tell(caller: Caller, task: string): Promise<{ kind: "ok" | "error" } | null> {
  const said = { kind: "info", directive: null, to: { role: "worker" }, task, priority: "normal", payload: {}, requiresAck: false } as const
  return caller.ask("event.send", { ...said, text: `once more, says ${caller.name}` })
}
