import { writeFileSync } from "node:fs"
import { join } from "node:path"
import { afterAll, expect, test } from "vitest"
import { json, newRepository, parseLines, skein, startSkein, tidyUp, until } from "./cli-driver.ts"

afterAll(tidyUp)

type Entry = { seq: number; type: string; actor: { agent: string }; data: Record<string, unknown> }
type Shown = { budget: string; limitMicroUsd: number; freeMicroUsd: number; reservedMicroUsd: number; settledMicroUsd: number; overrunMicroUsd: number }

test("a run with two scripted agents stops at its plan's budget, says why, and goes on to its end when it is topped up", async () => {
  const folder = newRepository()
  await json(folder, ["up"])
  const plan = join(folder, "plan.json")
  const tasks = Array.from({ length: 8 }, (_, at) => ({ id: `t${at}`, title: `Task ${at}`, run: { standIn: "40ms", costUsd: 1 } }))
  writeFileSync(plan, JSON.stringify({ plan: "dear", budgetUsd: 5.5, agents: ["ann", "bob"].map((name) => ({ name, kind: "script" })), tasks }))
  const run = startSkein(folder, ["run", plan])
  await until(
    () => (/nothing moves: .*is ready, but budget plan\/dear\.1 has \$0\.50 of \$5\.50 left/.test(run.output()) ? true : undefined),
    "the run stands still",
  )
  const [stopped] = await json<Shown>(folder, ["budget", "show", "plan/dear.1"])
  expect(stopped).toMatchObject({ limitMicroUsd: 5_500_000, settledMicroUsd: 5_000_000, reservedMicroUsd: 0, overrunMicroUsd: 0, freeMicroUsd: 500_000 })
  const refused = await skein(folder, ["task", "claim", "dear.1/t7"])
  expect(refused).toMatchObject({
    status: 1,
    stderr: expect.stringMatching(/budget plan\/dear\.1 has \$0\.50[^]*skein budget top-up plan\/dear\.1/) as string,
  })
  await json(folder, ["budget", "top-up", "plan/dear.1", "2.5"])
  const { status, stdout } = await run.ended
  expect({ status, stdout }).toMatchObject({ status: 0, stdout: expect.stringContaining("finished, 8 tasks completed") as string })
  expect((await json<Shown>(folder, ["budget", "show", "plan/dear.1"]))[0]).toMatchObject({ settledMicroUsd: 8_000_000, freeMicroUsd: 0, overrunMicroUsd: 0 })
  // At no entry had more than the limit been reserved and settled.
  const entries = await json<Entry>(folder, ["ledger", "tail", "--from", "1"])
  let limit = 5_500_000
  let taken = 0
  for (const { type, data } of entries) {
    if (type === "budget.topped_up") limit += data["amountMicroUsd"] as number
    if (type !== "task.claimed") continue
    taken += (data["reserves"] as Record<string, number>)["plan/dear.1"] as number
    expect(taken).toBeLessThanOrEqual(limit)
  }
  expect(new Set(entries.filter(({ type }) => type === "task.claimed").map(({ actor }) => actor.agent)).size).toBe(2)
})

test("budgets are set, spent, closed by an overrun, refunded and followed from the command line", async () => {
  const folder = newRepository()
  await json(folder, ["up"])
  const [made] = await json<{ credentialFile: string }>(folder, ["agent", "add", "ann"])
  const ann = { SKEIN_TOKEN_FILE: made?.credentialFile ?? "" }
  expect((await skein(folder, ["budget", "show"])).stdout).toBe("there is no budget: skein budget set workspace USD makes one\n")
  expect((await skein(folder, ["budget", "set", "workspace", "1", "--window", "day", "--per-claim", "0.25"])).stdout).toBe(
    "workspace may spend $1.00 each day\n",
  )
  expect(await skein(folder, ["budget", "set", "workspace", "1"], ann)).toMatchObject({ status: 1, stderr: expect.stringContaining("operator") as string })
  expect((await skein(folder, ["budget", "set", "galaxy", "1"])).status).toBe(2)
  await json(folder, ["task", "add", "t", "T"])
  await json(folder, ["task", "claim", "t"], ann)
  const follower = startSkein(folder, ["cost", "--follow", "--json"])
  // Nothing is shown before anything was spent: that it listens shows with the first report.
  await until(async () => {
    await json(folder, ["cost", "report", "--cost", "0.01"], ann)
    return parseLines<{ key: string }>(follower.output()).some(({ key }) => key === "ann") ? true : undefined
  }, "the follower shows what was reported")
  follower.child.kill("SIGINT")
  expect((await follower.ended).status).toBe(130)
  await json(folder, ["cost", "report", "--cost", "0.30"], ann)
  const [closed] = await json<Shown & { closedAtMs: number | null }>(folder, ["budget", "show"])
  expect(closed?.closedAtMs).not.toBeNull()
  expect((await skein(folder, ["budget", "show", "workspace"])).stdout).toMatch(/closed since .*\nann on t: .* it has to hand over before/)
  expect((await skein(folder, ["inbox"])).stdout).toMatch(/budget 86400000@workspace is closed: ann used/)
  expect((await skein(folder, ["inbox"], ann)).stdout).toMatch(/t has used more than it had: hand it over before/)
  await json(folder, ["cost", "refund", String((closed?.overrunMicroUsd ?? 0) / 1e6), "--agent", "ann", "--task", "t"])
  expect((await json<{ closedAtMs: number | null }>(folder, ["budget", "show"]))[0]?.closedAtMs).toBeNull()
  await json(folder, ["budget", "set", "workspace", "none", "--window", "day"])
  expect(await json(folder, ["budget", "show"])).toEqual([])
})

test("where calls have no price, whoever sets or looks at a budget is told that it does not see them", async () => {
  const folder = newRepository()
  await json(folder, ["up"])
  expect((await skein(folder, ["budget", "set", "workspace", "1"])).stdout).toBe("workspace may spend $1.00\n")
  expect((await skein(folder, ["budget", "show"])).stdout).not.toContain("price")
  await json(folder, ["cost", "report", "--model", "nobody-knows", "--input", "1000"])
  const blind = /^calls without a known price so far: 1\. They cost a budget nothing: .*skein cost --by model.*config\.yaml$/m
  for (const args of [["show"], ["show", "workspace"], ["set", "workspace", "2"]]) expect((await skein(folder, ["budget", ...args])).stdout).toMatch(blind)
  expect((await skein(folder, ["budget", "set", "workspace", "none"])).stdout).not.toMatch(blind)
})

test("breakers are tripped, listed and reset from the command line, and a script that fails time after time opens its agent's", async () => {
  const folder = newRepository()
  await json(folder, ["up"])
  const [made] = await json<{ credentialFile: string }>(folder, ["agent", "add", "ann"])
  const ann = { SKEIN_TOKEN_FILE: made?.credentialFile ?? "" }
  expect((await skein(folder, ["breaker", "list"])).stdout).toBe("every breaker is closed\n")
  await json(folder, ["breaker", "policy", "consecutive=2"])
  await json(folder, ["task", "add", "t", "T"])
  for (const reason of ["broke", "broke again"]) {
    const [claim] = await json<{ fence: number }>(folder, ["task", "claim", "t"], ann)
    await json(folder, ["task", "fail", "t", "--fence", String(claim?.fence), "--reason", reason], ann)
  }
  expect(await skein(folder, ["task", "claim", "t"], ann)).toMatchObject({
    status: 1,
    stderr: expect.stringMatching(/breaker agent\/ann is open until .*: broke again/) as string,
  })
  expect(await json(folder, ["breaker", "list"])).toMatchObject([{ breaker: "agent/ann", phase: "open", cause: "failures", failures: 2 }, {}])
  const untilMs = (await json<{ untilMs: number }>(folder, ["breaker", "list"]))[0]?.untilMs ?? 0
  const inbox = await skein(folder, ["inbox"], { TZ: "Asia/Tokyo" })
  expect(inbox.stdout).toContain(`${new Date(untilMs).toLocaleTimeString("en-GB", { timeZone: "Asia/Tokyo" })} (failures): broke again`)
  expect(inbox.stdout).not.toMatch(/\d\dZ/)
  // The same is a message; what somebody wrote is shown as they wrote it.
  await json(folder, ["thread", "post", "role/operator", "Broken since 2026-01-02T03:04:05Z."], ann)
  const thread = (await skein(folder, ["thread", "read", "role/operator", "--since", "0"], { TZ: "Asia/Tokyo" })).stdout
  expect(thread).toContain(`${new Date(untilMs).toLocaleTimeString("en-GB", { timeZone: "Asia/Tokyo" })} (failures): broke again`)
  expect(thread.match(/\S+T\d\d:\d\d:\d\dZ/g)).toEqual(["2026-01-02T03:04:05Z"])
  for (const way of [
    ["search", "broke"],
    ["summarize", "role/operator"],
  ])
    expect((await skein(folder, ["thread", ...way], { TZ: "Asia/Tokyo" })).stdout.match(/\S+T\d\d:\d\d:\d\dZ/g), way[0]).toEqual(["2026-01-02T03:04:05Z"])
  await json(folder, ["breaker", "reset", "agent/ann"])
  await json(folder, ["breaker", "trip", "account/agent/ann", "--for", "10m", "--reason", "on holiday"])
  expect((await skein(folder, ["breaker", "list"])).stdout).toMatch(/account\/agent\/ann\s+open\s.*manual: on holiday/)
  expect((await skein(folder, ["task", "claim", "t"], ann)).stderr).toContain("on holiday")
  await json(folder, ["breaker", "reset", "account/agent/ann"])
  await json(folder, ["task", "claim", "t"], ann)
  expect((await skein(folder, ["breaker", "policy", "nonsense=1"])).status).toBe(2)
})
