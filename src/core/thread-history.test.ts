import fc from "fast-check"
import { describe, expect, it } from "vitest"
import { fold, OPERATOR, Scenario } from "../../test/scenario.ts"
import { team } from "../../test/talking-team.ts"
import { PLAIN } from "../../test/waking.ts"
import { type Actor, decodeEntry, HUB } from "./entry.ts"
import { ledgerSeqs } from "./message-page.ts"
import { viewMessage } from "./message-view.ts"
import { THREAD_STATUSES, type Thread, type ThreadStatus } from "./thread.ts"
import { cursorOf, unreadOf } from "./unread.ts"
import { fromSnapshot, mark, takeSnapshot, undoTo } from "./workspace.ts"

const SEED = Number(process.env["CORE_SEED"] ?? Date.now() % 0x7fffffff)

describe("over any history of threads", () => {
  const NAMES = ["ann", "bob", "boss", "olga"]
  const THREADS = ["plan", "other", "task/t", "agent/ann", "agent/bob", "role/worker", "team"]
  const step = fc.record({
    do: fc.constantFrom("post", "post", "post", "ack", "ack", "join", "leave", "invite", "status", "notice", "notice", "create", "add"),
    who: fc.nat(3),
    thread: fc.nat(THREADS.length - 1),
    n: fc.nat(200),
  })

  /** One step of the history; what is refused is refused. */
  function take(scenario: Scenario, actors: readonly Actor[], { do: what, who, thread: at, n }: { do: string; who: number; thread: number; n: number }): void {
    const actor = actors[who] as Actor
    const id = THREADS[at] as string
    const eventType = [null, null, "finding", "decision", "resolution"][n % 5] as string | null
    const head = scenario.state.threads.get(id)?.head ?? 0
    const to = [{ agent: NAMES[n % 3] as string }, { role: "worker" as const }, { role: "orchestrator" as const }, { everyone: true as const }][n % 4]!
    const notice = {
      kind: "info",
      directive: null,
      task: n % 3 === 0 ? "t" : null,
      priority: "normal",
      text: "n",
      payload: {},
      requiresAck: n % 2 === 0,
    } as const
    if (what === "post") {
      const times = n > 190 ? 70 : 1
      for (let again = 0; again < times; again += 1)
        scenario.attempt("message.post", actor, {
          thread: id,
          body: `b${n % 7}`,
          kind: "chat",
          inReplyTo: n % 4 === 0 && head > 0 ? head : null,
          metadata: { ...PLAIN, eventType },
        })
    } else if (what === "ack") scenario.attempt("message.ack", actor, { thread: id, lastReadSeq: Math.floor((n * (head + 2)) / 200) })
    else if (what === "join") scenario.attempt("thread.join", actor, { thread: id })
    else if (what === "leave") scenario.attempt("thread.leave", actor, { thread: id })
    else if (what === "invite") scenario.attempt("thread.invite", actor, { thread: id, agents: [NAMES[n % 3] as string] })
    else if (what === "status") scenario.attempt("thread.setStatus", actor, { thread: id, status: THREAD_STATUSES[n % 4] as ThreadStatus, reason: "r" })
    else if (what === "create") scenario.attempt("thread.create", actor, { thread: id, title: "T", type: "incident", participants: [NAMES[n % 3] as string] })
    else if (what === "notice") scenario.attempt("event.send", n % 5 === 0 ? HUB : actor, { ...notice, to })
    else scenario.attempt("agent.add", OPERATOR, { name: `late${n % 3}` })
  }

  /** Who sent which message of each thread, from the stored entries alone. */
  function sendersOf(scenario: Scenario): Map<string, string[]> {
    const senders = new Map<string, string[]>()
    for (const bytes of scenario.bytes) {
      const entry = decodeEntry(bytes)
      const view = viewMessage(entry, 0)
      if (view === null) continue
      const list = senders.get(view.thread) ?? []
      senders.set(view.thread, list)
      list.push(view.sender)
      const { message } = entry.data as { message?: number }
      if (message !== undefined) expect(message).toBe(list.length)
      const thread = scenario.state.threads.get(view.thread) as Thread
      expect(ledgerSeqs(scenario.state, thread, list.length, list.length)).toEqual([entry.seq])
    }
    return senders
  }

  it(`numbers are contiguous, cursors never go back, and unread is what others wrote after them (seed ${SEED})`, () => {
    const reached = new Set<string>()
    fc.assert(
      fc.property(fc.array(step, { minLength: 1, maxLength: 60, size: "max" }), fc.nat(60), (steps, cutAt) => {
        const { scenario, ann, bob, boss } = team()
        scenario.task("t")
        const actors = [ann, bob, boss, OPERATOR]
        const everybody = [...actors, ...[0, 1, 2].map((at): Actor => ({ agent: `late${at}`, session: null, role: "worker" }))]
        const cursors = new Map<string, number>()
        for (const [at, each] of steps.entries()) {
          if (at === cutAt) {
            // What lost its race is taken back whole, indexes and all.
            const before = JSON.stringify(takeSnapshot(scenario.state))
            const unread = everybody.map((actor) => unreadOf(scenario.state, actor))
            const [point, kept] = [mark(scenario.state), scenario.bytes.length]
            for (const other of steps.slice(0, 12)) {
              take(scenario, actors, other)
              for (const actor of everybody) unreadOf(scenario.state, actor)
            }
            undoTo(scenario.state, point)
            scenario.bytes.length = kept
            expect(JSON.stringify(takeSnapshot(scenario.state))).toBe(before)
            expect(everybody.map((actor) => unreadOf(scenario.state, actor))).toEqual(unread)
          }
          take(scenario, actors, each)
          // Asked at any time, it answers no differently later.
          if (each.n % 3 === 0) for (const actor of everybody) unreadOf(scenario.state, actor)
          for (const thread of scenario.state.threads.values()) {
            for (const actor of everybody) {
              const cursor = cursorOf(scenario.state, actor, thread)
              if (cursor === null) continue
              const key = `${thread.id} ${actor.agent}`
              expect(cursor.lastReadSeq).toBeGreaterThanOrEqual(cursors.get(key) ?? 0)
              expect(cursor.lastReadSeq).toBeLessThanOrEqual(thread.head)
              cursors.set(key, cursor.lastReadSeq)
            }
          }
        }
        const senders = sendersOf(scenario)
        for (const actor of everybody) {
          if (!scenario.state.agents.has(actor.agent) && actor !== OPERATOR) continue
          const expected = [...scenario.state.threads.values()].flatMap((thread) => {
            const cursor = cursorOf(scenario.state, actor, thread)
            if (cursor === null) return []
            const unread = (senders.get(thread.id) ?? []).slice(cursor.lastReadSeq).filter((sender) => sender !== actor.agent).length
            expect(cursor, `${actor.agent} in ${thread.id}`).toEqual({ thread: thread.id, unread, lastReadSeq: cursor.lastReadSeq, headSeq: thread.head })
            if (unread > 0) reached.add(`unread in ${thread.id}`)
            return unread > 0 && thread.status !== "closed" ? [cursor] : []
          })
          const byThread = (a: { thread: string }, b: { thread: string }): number => (a.thread < b.thread ? -1 : 1)
          expect(unreadOf(scenario.state, actor).sort(byThread)).toEqual(expected.sort(byThread))
        }
        const again = fold(scenario.bytes)
        expect(JSON.stringify(takeSnapshot(again))).toBe(JSON.stringify(takeSnapshot(scenario.state)))
        const restored = fromSnapshot(JSON.parse(JSON.stringify(takeSnapshot(scenario.state))) as ReturnType<typeof takeSnapshot>)
        for (const actor of everybody) expect(unreadOf(restored, actor)).toEqual(unreadOf(scenario.state, actor))
        if ([...scenario.state.threads.values()].some((thread) => thread.head > 64)) reached.add("a second page")
      }),
      { seed: SEED, numRuns: Number(process.env["CORE_RUNS"] ?? 100) },
    )
    for (const id of THREADS) expect([...reached]).toContain(`unread in ${id}`)
    expect([...reached]).toContain("a second page")
  })
})
