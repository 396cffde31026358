import { describe, expect, test } from "vitest"
import type { Breaker } from "../../src/core/breaker.ts"
import { commands } from "../../src/core/command.ts"
import type { DirectiveEvent } from "../../src/core/directive.ts"
import type { Recorded } from "../../src/core/entry.ts"
import { Table } from "../../src/core/table.ts"
import { find, replaced, tampered } from "./planting.ts"

const opens = (event: Recorded): boolean =>
  event.type === "event.sent" && /^breaker \S+ is open/.test((event as DirectiveEvent & { data: { text: string } }).data.text)

/** What came of it where something else is told of breakers that open. */
function told(change: (event: Recorded) => Recorded[]): Promise<string> {
  return tampered(
    (sound) =>
      Object.fromEntries(
        (["task.fail", "task.release", "hub.sweep", "task.claim", "task.claimNext"] as const).map((name) => {
          const decide: (typeof sound)["task.fail"]["decide"] = (state, by, input, nowMs) => {
            const decision = sound[name].decide(state, by, input as never, nowMs)
            return "refused" in decision ? decision : decision.flatMap((event) => (opens(event) ? change(event) : [event]))
          }
          return [name, { ...sound[name], decide }]
        }),
      ) as Partial<typeof commands>,
    () => find({ from: 5 }),
  )
}

/** What came of it where another breaker is kept than the one that follows. */
function kept(change: (is: Breaker, was: Breaker | undefined) => Breaker): Promise<string> {
  return replaced(
    Table.prototype as Table<unknown>,
    "put",
    (sound) =>
      function put(this: Table<unknown>, key: string, value: unknown): void {
        sound.call(this, key, this.name === "breakers" ? change(value as Breaker, this.get(key) as Breaker | undefined) : value)
      },
    () => find({ from: 5 }),
  )
}

const byFailures = ({ open }: Breaker): boolean => open !== null && (open.cause === "failures" || open.cause === "rate")

describe("a fault that is planted in breakers that open by failures is found:", { timeout: 120_000 }, () => {
  test("one that opens, and nobody is told", async () => {
    expect(await told(() => [])).toMatch(/after entry \d+: (task|lease)\.\w+ of \S+, which opens breaker \S+, of which the operator is not told/)
  })

  test("one that opens, and the operator is told twice", async () => {
    expect(await told((event) => [event, event])).toMatch(/which says that breaker \S+ is open, which nothing opened/)
  })

  test("one that opens, and its agent is told in the operator's place", async () => {
    expect(await told((event) => [{ ...event, data: { ...(event.data as object), to: { role: "worker" } } }])).toMatch(/which is for the operator/)
  })

  test("one that opens for failures and stays closed", async () => {
    const lax = await kept((is, was) => (byFailures(is) && (was?.open ?? null) === null ? { ...is, open: null, opened: 0 } : is))
    expect(lax).toMatch(/breaker \S+ is open until null, not \d+|by agent\d, though breaker \S+ is open for \d+ ms more/)
  })

  test("one that is open as long as the first time, each time", async () => {
    expect(await kept((is) => ({ ...is, opened: 0 }))).toMatch(/breaker \S+ is open until \d+, not \d+|though breaker \S+ is open for \d+ ms more/)
  })

  test("one that forgets what went well", async () => {
    expect(await kept((is) => ({ ...is, recent: is.recent.filter(({ ok }) => !ok) }))).toMatch(/breaker \S+ counts -*, not [-+]+|breaker \S+ is open until/)
  })

  test("one that counts what is older than its window", async () => {
    const old = await kept((is, was) =>
      is.open !== null || was === undefined || is.recent.length > was.recent.length ? is : { ...is, recent: [...was.recent, ...is.recent.slice(-1)] },
    )
    expect(old).toMatch(/breaker \S+ counts [-+]+, not [-+]+|breaker \S+ is open until/)
  })

  test("one that many share, and that one of them opens", async () => {
    const strict = await kept((is) => {
      const alone = is.open === null && !is.id.startsWith("agent/") && is.recent.length > 1 && is.recent.every(({ ok }) => !ok)
      const { atMs = 0 } = is.recent.at(-1) ?? {}
      return alone ? { ...is, open: { cause: "failures", untilMs: atMs + 400, sinceMs: atMs, reason: "broke" }, opened: 1 } : is
    })
    expect(strict).toMatch(/breaker (account|model|kind)\/\S+ is open until \d+, not null|is refused \(breaker_open\) at \d+, though|has waited \d+ ms though/)
  })

  test("one whose probe succeeded and that stays open", async () => {
    const stuck = await replaced(
      Table.prototype as Table<unknown>,
      "delete",
      (sound) =>
        function remove(this: Table<unknown>, key: string): void {
          if (this.name !== "breakers") sound.call(this, key)
        },
      () => find({ from: 5 }),
    )
    expect(stuck).toMatch(/breaker \S+ (is open until \d+, not null|counts [-+]+, not )|is refused \(breaker_open\)/)
  })
})
