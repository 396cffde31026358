import { describe, expect, test } from "vitest"
import { operations } from "../../src/contract/operations.ts"
import { commands } from "../../src/core/command.ts"
import type { Role } from "../../src/core/entry.ts"
import type { Seq } from "../../src/core/ids.ts"
import { Table } from "../../src/core/table.ts"
import type { Clock } from "../../src/hub/clock.ts"
import { Presence } from "../../src/hub/presence.ts"
import { Readers } from "../../src/hub/readers.ts"
import { Subscriptions } from "../../src/hub/subscriptions.ts"
import type { Appended, Ledger, Stored } from "../../src/ledger/ledger.ts"
import { find, replaced, tampered } from "./planting.ts"
import { ThroughLedger } from "./through-ledger.ts"

class IgnoresExpected extends ThroughLedger {
  override async append(_expected: Seq, batch: readonly Stored[]): Promise<Appended> {
    const { seq } = await this.inner.head()
    return this.inner.append(
      seq,
      batch.map((entry, at) => ({ ...entry, seq: seq + 1 + at })),
    )
  }
}

class AnswersBeforeTheSync extends ThroughLedger {
  #last: Promise<unknown> = Promise.resolve()

  override append(expected: Seq, batch: readonly Stored[]): Promise<Appended> {
    this.#last = this.#last.then(() => this.inner.append(expected, batch)).catch(() => undefined)
    const { seq, hash } = batch.at(-1) as Stored
    return Promise.resolve({ ok: true, head: { seq, hash } })
  }
}

class LosesTheEndOfLongBatches extends ThroughLedger {
  override async append(expected: Seq, batch: readonly Stored[]): Promise<Appended> {
    // Where nobody was answered with what is lost, the hub that believes in it would lose one race after the other with nobody.
    if (expected > (await this.inner.head()).seq) throw new Error("the ledger ends before what it is to go on from")
    const appended = await this.inner.append(expected, batch.slice(0, 3))
    const { seq, hash } = batch.at(-1) as Stored
    return appended.ok ? { ok: true, head: { seq, hash } } : appended
  }
}

/** A clock of which one timer in five never rings. */
function forgetfulClock(clock: Clock): Clock {
  let timers = 0
  return {
    wallMs: () => clock.wallMs(),
    monotonicMs: () => clock.monotonicMs(),
    soon: (call) => clock.soon(call),
    after: (ms, call) => ((timers += 1) % 5 === 0 ? () => undefined : clock.after(ms, call)),
  }
}

describe("a planted fault is found:", { timeout: 120_000 }, () => {
  test("a ledger that does not compare before it sets", async () => {
    expect(await find({ hubs: 2, wrapLedger: (ledger: Ledger) => new IgnoresExpected(ledger) })).toMatch(/does not chain|is stored as/)
  })

  test("an answer that goes out before the ledger holds what it says", async () => {
    expect(await find({ wrapLedger: (ledger) => new AnswersBeforeTheSync(ledger) })).toMatch(
      /the ledger (knows nothing of it|does not have)|is not what the ledger holds|should have ended|within/,
    )
  })

  test("a ledger that keeps half a batch", async () => {
    expect(await find({ hubs: 1, wrapLedger: (ledger) => new LosesTheEndOfLongBatches(ledger) })).toMatch(/seed/)
  })

  test("a lease that is over after its end, not at it", async () => {
    // A sweep that never ends what is over would be due again and again, and time would stand still.
    let swept = { atMs: 0, times: 0 }
    const sweptAt = (atMs: number): number => {
      swept = { atMs, times: swept.atMs === atMs ? swept.times + 1 : 0 }
      return swept.times > 20 ? atMs : atMs - 1
    }
    const late = await tampered(
      (sound) => ({
        "hub.sweep": { ...sound["hub.sweep"], decide: (state, by, input, nowMs) => sound["hub.sweep"].decide(state, by, input, sweptAt(nowMs)) },
        "task.update": { ...sound["task.update"], decide: (state, by, input, nowMs) => sound["task.update"].decide(state, by, input, nowMs - 1) },
        "task.complete": { ...sound["task.complete"], decide: (state, by, input, nowMs) => sound["task.complete"].decide(state, by, input, nowMs - 1) },
        "lease.renew": { ...sound["lease.renew"], decide: (state, by, input, nowMs) => sound["lease.renew"].decide(state, by, input, nowMs - 1) },
      }),
      () => find({ from: 109 }),
    )
    expect(late).toMatch(/0 ms after its lease/)
  })

  test("a sweep that ends leases a little early", async () => {
    const early = await replaced(
      commands["hub.sweep"],
      "decide",
      (sound) => (state, by, input, nowMs) => sound(state, by, input, nowMs + 50),
      () => find({}),
    )
    expect(early).toMatch(/\(expired\) \d+ ms early|which has time to hand over/)
  })

  test("a sweep that passes over who was heard of", async () => {
    const deaf = await replaced(
      commands["hub.sweep"],
      "decide",
      (sound) => (state, by, input, nowMs) => sound(state, by, { ...input, beats: input.beats.slice(1) }, nowMs),
      () => find({ hubs: 1, from: 14 }),
    )
    expect(deaf).toMatch(/ended \(\w+\) \d+ ms after a beat/)
  })

  test("a read cursor that anybody may move anywhere", async () => {
    const free = await replaced(
      commands["message.ack"],
      "decide",
      () => (_state, _by, data) => [{ type: "message.acked", data }],
      () => find({}),
    )
    expect(free).toMatch(/message\.acked by \w+ in \S+ up to \d+, (beyond its head|after) \d+/)
  })

  test("a completion that nobody asks for its fence", async () => {
    const unfenced = await replaced(
      commands["task.complete"],
      "decide",
      (sound) => (state, by, input, nowMs) => sound(state, by, { ...input, fence: state.tasks.get(input.task)?.fence ?? input.fence }, nowMs),
      () => find({ from: 13 }),
    )
    expect(unfenced).toMatch(/was taken under fence \d+, though \d+ held the task/)
  })

  test("a completion that anybody may report", async () => {
    const foreign = await replaced(
      commands["task.complete"],
      "decide",
      (sound) => (state, by, input, nowMs) => {
        const task = state.tasks.get(input.task)
        return sound(state, { ...by, agent: task?.owner ?? by.agent }, { ...input, fence: task?.fence ?? input.fence }, nowMs)
      },
      () => find({}),
    )
    expect(foreign).toMatch(/though \w+ holds it|was taken under fence/)
  })

  const isClosing = ({ type, data }: { type: string; data: unknown }): boolean => type === "event.sent" && / is closed: /.test((data as { text: string }).text)

  test.each([
    ["that nobody is told of", (is: boolean): number => (is ? 0 : 1), /budget \S+ is closed, and nobody is told/],
    ["that is told of twice", (is: boolean): number => (is ? 2 : 1), /tells that budget \S+ is closed, which is not so or was told already/],
  ])("with two hubs, the closing of a budget %s", async (_, times, found) => {
    const names = ["usage.report", "task.complete", "task.fail"] as const
    const planted = await tampered(
      (sound) =>
        Object.fromEntries(
          names.map((name) => {
            const decide: (typeof sound)["usage.report"]["decide"] = (state, by, input, nowMs) => {
              const decision = sound[name].decide(state, by, input as never, nowMs)
              return "refused" in decision ? decision : decision.flatMap((event) => Array.from({ length: times(isClosing(event)) }, () => event))
            }
            return [name, { ...sound[name], decide }]
          }),
        ),
      () => find({ hubs: 2 }),
    )
    expect(planted).toMatch(found)
  })

  test("with two hubs, money that stays set aside after its claim", async () => {
    const kept = await replaced(
      Table.prototype as Table<unknown>,
      "delete",
      (sound) =>
        function remove(this: Table<unknown>, key: string): void {
          if (this.name !== "reservations") sound.call(this, key)
        },
      () => find({ hubs: 2 }),
    )
    expect(kept).toMatch(/\d+ claims have money set aside, not \d+|the books of budget/)
  })

  test("an answer with another fence than the ledger's", async () => {
    const lying = await replaced(
      commands["task.claim"],
      "answer",
      (sound) => (state, by, input, entries) => ({ ...sound(state, by, input, entries), fence: state.seq + 1 }),
      () => find({}),
    )
    expect(lying).toMatch(/is answered with fence \d+, which the ledger does not have/)
  })

  test("a decider that changes the state beside the entries", async () => {
    const sly = await replaced(
      commands["task.update"],
      "decide",
      (sound) => (state, by, input, nowMs) => {
        const task = state.tasks.get(input.task)
        if (task !== undefined) Object.assign(task, { note: "beside the ledger" })
        return sound(state, by, input, nowMs)
      },
      () => find({}),
    )
    expect(sly).toMatch(/replay/)
  })

  test("a hub that does not let go of a session that moved to another", async () => {
    const possessive = await replaced(
      Presence.prototype,
      "leave",
      () => () => false,
      () => find({ hubs: 2, from: 14 }),
    )
    expect(possessive).toMatch(/declares \w+ lost, which spoke to hub \d/)
  })

  test("a reader that is shown what is still on its way to the ledger", async () => {
    // Looks at once, and says so when the batch has landed.
    const early = await replaced(
      Readers.prototype,
      "later",
      (sound) =>
        async function later<T>(this: Readers, of: string, look: () => T | Promise<T>): Promise<T> {
          const seen = look()
          return sound.call(this, of, () => seen) as Promise<T>
        },
      () => find({ hubs: 1 }),
    )
    expect(early).toMatch(/a reader is shown entry \d+, and the ledger holds \d+/)
  })

  test("a stream that says something else than the ledger", async () => {
    const lying = await replaced(
      Subscriptions.prototype,
      "publish",
      (sound) =>
        function publish(this: Subscriptions, stored): void {
          sound.call(
            this,
            stored.map((entry) => ({ ...entry, bytes: entry.bytes.replace('"task.claimed"', '"task.reset"') })),
          )
        },
      () => find({}),
    )
    expect(lying).toMatch(/a subscriber of hub \d heard \d+ to \d+, which is not what the ledger holds there/)
  })

  test("an owner that may approve its own work", async () => {
    const proud = await replaced(
      commands["task.review"],
      "decide",
      (sound) => (state, by, input, nowMs) => sound(state, { ...by, role: "operator" }, input, nowMs),
      () => find({}),
    )
    expect(proud).toMatch(/task\.completed of \w+ by \w+, who reviews what is its own/)
  })

  test("an unblocking that anybody may report", async () => {
    const free = await replaced(
      commands["task.unblock"],
      "decide",
      (sound) => (state, by, input, nowMs) => sound(state, { ...by, agent: state.tasks.get(input.task)?.owner ?? by.agent }, input, nowMs),
      () => find({ from: 82 }),
    )
    expect(free).toMatch(/task\.unblocked of \w+ by \w+, who is worker and does not hold it/)
  })

  test.each([
    ["task.cancel", 6, /task\.cancelled of \w+ by agent\d, who is worker/],
    ["task.reset", 43, /task\.reset of \w+ by agent\d, who is worker/],
    ["lease.end", 2, /lease\.ended of \w+ by agent\d, who is worker/],
  ] as const)("a contract in which %s is every worker's", async (name, from, found) => {
    const open = await replaced(
      operations[name] as { least: Role },
      "least",
      (): Role => "worker",
      () => find({ from }),
    )
    expect(open).toMatch(found)
  })

  test("a task that is claimed once more after its last attempt", async () => {
    const patient = await replaced(
      commands["hub.sweep"],
      "decide",
      (sound) => (state, by, input, nowMs) => {
        const decision = sound(state, by, input, nowMs)
        return "refused" in decision ? decision : decision.filter(({ type }) => type !== "task.failed")
      },
      () => find({}),
    )
    expect(patient).toMatch(/claims \w+, whose \d+ attempts are used up/)
  })

  test("a clock of which some timers never ring", async () => {
    expect(await find({ from: 25, wrapClock: forgetfulClock })).toMatch(/seed \d+: /)
  })
})
