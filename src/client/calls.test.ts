import { expect, test } from "vitest"
import { SkeinError } from "../contract/errors.ts"
import { Calls } from "./calls.ts"

type Sent = { id: number; op: string; key?: string }

/** Calls on a connection that keeps what goes out. */
function calls(): { calls: Calls; sent: Sent[] } {
  const sent: Sent[] = []
  const trouble = (): SkeinError => new SkeinError("hub_unreachable", "nobody there", "Wait.")
  const carrier = { isOpen: () => true, send: (text: string) => void sent.push(JSON.parse(text) as Sent), random: () => 0, trouble }
  return { calls: new Calls(carrier), sent }
}

const refusal = (code: string, retryAfterMs: number): object => ({ code, message: code, remedy: "Wait.", details: {}, retryAfterMs })
const soon = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, 20))

test("a command that is sent again, because the hub asked for it or the connection broke, carries the key that it had", async () => {
  const { calls: all, sent } = calls()
  const answer = all.make("task.claim", { task: "t" }, { timeoutMs: 5_000 })
  all.answered(1, undefined, refusal("overloaded", 1))
  await soon()
  all.broken()
  all.sendAll()
  expect(sent.map(({ op, key }) => [op, key])).toEqual(Array.from({ length: 3 }, () => ["task.claim", sent[0]?.key]))
  expect(sent[0]?.key).toMatch(/^[\w-]+\.\d+$/)
  all.answered(1, "done", undefined)
  expect(await answer).toBe("done")
})

test("an action is sent again where the hub says that nothing was done, and not where nobody knows", async () => {
  const { calls: all, sent } = calls()
  const unknown = all.make("credential.issue", { agent: "ada" }, { timeoutMs: 5_000 })
  all.answered(1, undefined, refusal("timed_out", 1))
  await expect(unknown).rejects.toMatchObject({ code: "timed_out" })
  const again = all.make("credential.issue", { agent: "ada" }, { timeoutMs: 5_000 })
  all.answered(2, undefined, refusal("overloaded", 1))
  await soon()
  expect(sent.map(({ id }) => id)).toEqual([1, 2, 2])
  all.broken()
  await expect(again).rejects.toMatchObject({ code: "timed_out" })
})

test("who hears nothing is told what can be done again: what changes nothing, what had a key of the caller's, and else nothing before a look", async () => {
  const { calls: all } = calls()
  const remedies = [
    all.make("task.list", {}, { timeoutMs: 1 }),
    all.make("task.claim", { task: "t" }, { timeoutMs: 1, key: "mine" }),
    all.make("task.claim", { task: "t" }, { timeoutMs: 1 }),
    all.make("credential.issue", { agent: "ada" }, { timeoutMs: 1, key: "mine" }),
  ].map((answer) => answer.catch(({ code, remedy }: SkeinError) => `${code}: ${remedy}`))
  expect(await Promise.all(remedies)).toEqual([
    "timed_out: Ask again.",
    "timed_out: Ask again with the same idempotency key: it is done once.",
    "timed_out: Look whether it was done before you ask again.",
    "timed_out: Look whether it was done before you ask again.",
  ])
})

test("each call is out of time by its own, whichever was made first, and whatever became of the others", async () => {
  const { calls: all } = calls()
  const over: string[] = []
  const make = (name: string, timeoutMs: number): Promise<void> => {
    const answer = all.make("task.list", {}, { timeoutMs })
    return answer.then(
      () => void over.push(`${name} answered`),
      ({ message }: SkeinError) => void over.push(`${name}: ${message}`),
    )
  }
  await make("first", 5)
  const long = make("long", 60_000)
  const short = make("short", 10)
  const later = make("later", 100)
  const answered = make("answered", 5)
  all.answered(5, "ok", undefined)
  await Promise.all([short, later, answered])
  await make("last", 10)
  all.endAll(new SkeinError("hub_unreachable", "closed", "Connect again."))
  await long
  expect(over).toEqual([
    "first: no answer within 5 ms",
    "answered answered",
    "short: no answer within 10 ms",
    "later: no answer within 100 ms",
    "last: no answer within 10 ms",
    "long: closed",
  ])
})

test("a time longer than a timer can be is not taken for none", async () => {
  const { calls: all } = calls()
  const days = all.make("task.list", {}, { timeoutMs: 30 * 86_400_000 })
  const forever = all.make("task.list", {}, { timeoutMs: Number.POSITIVE_INFINITY })
  await soon()
  all.answered(1, "days", undefined)
  all.answered(2, "forever", undefined)
  expect(await Promise.all([days, forever])).toEqual(["days", "forever"])
})

test("what the hub puts off is not sent again before the time that it named, nor at all where that is too late", async () => {
  const { calls: all, sent } = calls()
  const late = all.make("task.claim", { task: "t" }, { timeoutMs: 5_000 })
  all.answered(1, undefined, refusal("overloaded", 60_000))
  await expect(late).rejects.toMatchObject({ code: "overloaded", retryAfterMs: 60_000 })
  const waiting = all.make("task.claim", { task: "t" }, { timeoutMs: 120_000 })
  all.answered(2, undefined, refusal("overloaded", 60_000))
  await soon()
  expect(sent.map(({ id }) => id)).toEqual([1, 2])
  all.endAll(new SkeinError("hub_unreachable", "closed", "Connect again."))
  await expect(waiting).rejects.toMatchObject({ code: "hub_unreachable" })
})

test("a client repeats what is refused twenty times, then it only asks", async () => {
  const { calls: all, sent } = calls()
  const made = Array.from({ length: 30 }, () => all.make("task.claim", { task: "t" }, { timeoutMs: 5_000 }).catch(({ code }: SkeinError) => code))
  for (let id = 1; id <= 30; id += 1) all.answered(id, undefined, refusal("overloaded", 1))
  await soon()
  expect(sent).toHaveLength(50)
  all.endAll(new SkeinError("hub_unreachable", "closed", "Connect again."))
  expect((await Promise.all(made)).filter((code) => code === "overloaded")).toHaveLength(10)
})
