import type { Caller } from "./caller.ts"

/** Threads that agents make and join themselves. */
export const MADE = ["talk-a", "talk-b"]

export function isMade(thread: string): boolean {
  return MADE.includes(thread)
}

/** Says something, and reads as far as it believes that there is something: too far, or back, now and then. `task`: what it worked on last. */
export async function talk(caller: Caller, task: string | null): Promise<void> {
  const { chance } = caller.world
  const made = chance.pick(MADE)
  if (chance.happens(0.35)) return gather(caller, made)
  if (chance.happens(0.2)) return notice(caller)
  const thread = chance.pick(["team", "role/worker", made, ...(task === null ? [] : [`task/${task}`])])
  const metadata = { eventType: chance.happens(0.2) ? "finding" : null, severity: null, file: null, line: null, endLine: null, task: null }
  const said = await caller.ask("message.post", { thread, body: `from ${caller.name}`, kind: "chat", inReplyTo: null, metadata })
  if (said?.kind !== "ok") return
  await caller.ask("message.ack", { thread, lastReadSeq: Math.max(0, said.output.message + chance.between(-3, 1)) })
}

/** Makes a thread, or comes to one, leaves it, brings another, or says how it stands: whether it is in it or not. */
export async function gather(caller: Caller, thread: string): Promise<void> {
  const { chance } = caller.world
  const dice = chance.below(10)
  const others = [`agent${chance.below(3)}`]
  if (dice < 2) await caller.ask("thread.create", { thread, title: thread, type: "conversation", participants: others })
  else if (dice < 4) await caller.ask("thread.join", { thread })
  else if (dice < 6) await caller.ask("thread.leave", { thread })
  else if (dice < 8) await caller.ask("thread.invite", { thread, agents: others })
  else await caller.ask("thread.setStatus", { thread, status: chance.pick(["active", "active", "blocked", "resolved", "closed"]), reason: "it is so" })
}

/** Tells somebody, or acknowledges what waits for it: now and then what waits for another. */
async function notice(caller: Caller): Promise<void> {
  const { chance } = caller.world
  const agent = `agent${chance.below(3)}`
  const seq = chance.pick(caller.world.notices(chance.happens(0.8) ? caller.name : agent))
  if (seq !== undefined && chance.happens(0.7)) return void (await caller.ask("event.ack", { seq }))
  const to = chance.pick([{ agent }, { role: "worker" }, { everyone: true }] as const)
  const said = { kind: "info", directive: null, to, task: null, priority: "normal", payload: {} } as const
  await caller.ask("event.send", { ...said, text: `from ${caller.name}`, requiresAck: chance.happens(0.7) })
}
