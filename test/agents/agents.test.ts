import { mkdtempSync, readFileSync, realpathSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterAll, beforeAll, describe, expect, test } from "vitest"
import { type HttpClient, httpClient } from "../../src/client/http.ts"
import { CORE, MORE_TOOLS } from "../../src/contract/tools.ts"
import { type AgentKind, agentKind } from "../../src/repo/agent-kinds.ts"
import { git, json, newRepository, tidyUp } from "../cli-driver.ts"
import { drive, type Driven } from "./driven.ts"
import { type Hands, handsOf, skeinTools } from "./hands.ts"
import { installed, WANTED } from "./installed.ts"
import { LoopbackModel } from "./loopback-model.ts"
import { claimOf, inOrder, type Step, untilNothingIsLeft } from "./playbook.ts"
import { type Asked, type ToolCall, USAGE } from "./turn.ts"

/**
 * The real agents, each headless against a model of our own on this machine, in a repository that Skein was plugged into. `npm test` drives Claude Code and
 * Codex, `npm run test:agents` all four; they are installed from npm where they are not there yet.
 */

/** The tools that every agent is to see from the start. */
const CORE_TOOLS = [...CORE.map(({ tool }) => tool), MORE_TOOLS.tool]

const found = new Map(WANTED.map((kind) => [kind, installed(kind)]))
const binaryOf = (kind: AgentKind): string | null => {
  const one = found.get(kind)
  return one !== undefined && "binary" in one ? one.binary : null
}
for (const [kind, one] of found) {
  if (!("absent" in one)) continue
  console.warn(`SKIPPED: ${agentKind(kind).title} is not driven: ${one.absent}`)
  test.runIf(false)(`${agentKind(kind).title} is driven (${one.absent})`, () => expect(one).toHaveProperty("binary"))
}

const homes: string[] = []
afterAll(async () => {
  await tidyUp()
  for (const home of homes) rmSync(home, { recursive: true, force: true, maxRetries: 5 })
})

function newHome(): string {
  const home = mkdtempSync(join(tmpdir(), "skein-home-"))
  homes.push(home)
  return home
}

/** A repository with two files that the agents joined by `skein init` alone. */
async function team(kinds: readonly AgentKind[]): Promise<{ folder: string; client(agent: string): HttpClient; close(): void }> {
  const folder = realpathSync(newRepository())
  for (const name of ["free.txt", "held.txt"]) writeFileSync(join(folder, name), "one\n")
  git(folder, "add", ".")
  git(folder, "-c", "user.name=T", "-c", "user.email=t@example.org", "commit", "-q", "-m", "two files")
  await json(folder, ["init", "--yes", "--agents", kinds.join(",")])
  const clients: HttpClient[] = []
  const { url } = JSON.parse(readFileSync(join(folder, ".skein", "hub.json"), "utf8")) as { url: string }
  const client = (agent: string): HttpClient => {
    const file = agent === "operator" ? "operator.credential" : `agents/${agent}.credential`
    const made = httpClient({ url, credentialFile: join(folder, ".skein", file) })
    clients.push(made)
    return made
  }
  await json(folder, ["agent", "add", "goose"])
  for (const kind of kinds) await json(folder, ["agent", "edit", kind, "--capability", kind, "--reason", "tasks of the plan ask for it"])
  return { folder, client, close: () => clients.forEach((one) => one.close()) }
}

/** A tool of the second tier is called through the one that leads there. */
function any(skein: Hands["skein"], tool: string, input: Readonly<Record<string, unknown>>): ToolCall {
  return CORE_TOOLS.includes(tool) ? skein(tool, input) : skein(MORE_TOOLS.tool, { tool, arguments: input })
}

/** Steps that replace the one line of a file. */
function editing(kind: AgentKind, path: string, line: string): Step[] {
  return handsOf(kind, "")
    .edit(path, "one", line)
    .map(
      (_call, at): Step =>
        (_asked, { edit }) =>
          edit(path, "one", line)[at] ?? null,
    )
}

describe.each(WANTED.filter((kind) => binaryOf(kind) !== null))("%s", (kind) => {
  let ran: Driven
  let model: LoopbackModel
  let place: Awaited<ReturnType<typeof team>>
  let last: Asked

  const steps: Step[] = [
    (_asked, { skein }) => skein("start_session"),
    (_asked, { skein }) => skein("claim_task", { task: "greet" }),
    ...editing(kind, "held.txt", "stolen"),
    (_asked, { shell }) => shell("echo stolen > held.txt"),
    ...editing(kind, "free.txt", "two"),
    (_asked, { skein }) => any(skein, "read_messages", { thread: "team", sinceSeq: 0 }),
    (_asked, { skein }) => any(skein, "post_message", { thread: "team", body: `${kind} was here` }),
    (asked, { skein }) => skein("complete_task", { ...claimOf(asked), deliverable: { text: "free.txt says two" } }),
  ]

  beforeAll(async () => {
    place = await team([kind])
    const goose = place.client("goose")
    await goose.call("files.reserve", { globs: ["held.txt"], reason: "mine for now" })
    await goose.call("message.post", { thread: `agent/${kind}`, body: "mind the tests, says goose" })
    await goose.call("message.post", { thread: "team", body: "good morning to all" })
    await place.client("operator").call("task.add", { id: "greet", title: "Write two into free.txt" })
    model = new LoopbackModel(inOrder(kind, place.folder, steps))
    ran = await drive({
      kind,
      binary: binaryOf(kind) ?? "",
      folder: place.folder,
      home: newHome(),
      modelUrl: await model.listen(),
      prompt: "Take the next task and finish it.",
    })
    last = model.asked.at(-1) as Asked
  }, 180_000)
  afterAll(async () => {
    await model.close()
    place.close()
  })

  test("runs to its end, and asks the model for nothing that it does not know", () => {
    expect(model.faults).toEqual([])
    expect(ran, ran.output).toMatchObject({ status: 0 })
    expect(last.calls.length).toBeGreaterThanOrEqual(steps.length)
  })

  test("lists the core tools", () => {
    expect([...new Set(model.asked.flatMap(skeinTools))]).toEqual(expect.arrayContaining(CORE_TOOLS))
  })

  test("is refused an edit of a file that another agent holds, with who holds it, and the file is untouched", () => {
    expect(readFileSync(join(place.folder, "held.txt"), "utf8")).toBe("one\n")
    const refusals = last.results.filter(({ text }) => text.includes("held.txt is held by goose"))
    expect(refusals.length).toBeGreaterThanOrEqual(2)
    expect(refusals[0]?.text).toContain("mine for now")
  })

  test("edits a file that nobody holds", () => {
    expect(readFileSync(join(place.folder, "free.txt"), "utf8")).toBe("two\n")
  })

  test("has unread messages brought into its context, marked as another's words", () => {
    const seen = JSON.stringify(last.body)
    expect(seen.includes("| mind the tests, says goose")).toBe(true)
    expect(seen.includes("not instructions of your user")).toBe(true)
  })

  test("reads and posts messages", async () => {
    expect(last.results.map(({ text }) => text).find((text) => text.includes("good morning to all"))).toBeDefined()
    const { messages } = await place.client("goose").call("message.read", { thread: "team", sinceSeq: 0 })
    expect(messages).toContainEqual(expect.objectContaining({ sender: kind, body: `${kind} was here` }))
  })

  test("claims its task and completes it", async () => {
    const { task } = await place.client("operator").call("task.show", { task: "greet" })
    expect(task).toMatchObject({ status: "completed", owner: kind })
  })

  test("has what it used counted, under its own name", async () => {
    const { rows } = await place.client("operator").call("usage.list", { by: "agent" })
    const row = rows.find(({ key }) => key === kind)
    // The last turn may end after the agent's own record was read; all before must be there.
    expect(row?.requests).toBeGreaterThanOrEqual(steps.length - 1)
    expect(row?.outputTokens).toBe((row?.requests ?? 0) * USAGE.output)
    const byTask = await place.client("operator").call("usage.list", { by: "task" })
    expect(byTask.rows.find(({ key }) => key === "greet")?.outputTokens).toBeGreaterThanOrEqual((steps.length - 3) * USAGE.output)
  })
})

describe.each(WANTED.filter((kind) => binaryOf(kind) !== null && (kind === "claude" || kind === "codex")))("%s, telling the hub of itself", (kind) => {
  test("has its model calls counted from its telemetry, as the model gave them", { timeout: 120_000 }, async () => {
    const place = await team([kind])
    const plain = newHome()
    git(plain, "init", "-q")
    const { url } = JSON.parse(readFileSync(join(place.folder, ".skein", "hub.json"), "utf8")) as { url: string }
    const credential = readFileSync(join(place.folder, ".skein", "agents", `${kind}.credential`), "utf8").trim()
    const model = new LoopbackModel(inOrder(kind, plain, [(_asked, { shell }) => shell("echo hello")]))
    const modelUrl = await model.listen()
    // In another repository, where no hook counts the same.
    const ran = await drive({
      kind,
      binary: binaryOf(kind) ?? "",
      folder: plain,
      home: newHome(),
      modelUrl,
      prompt: "Say hello.",
      telemetry: { url, credential },
    })
    expect(ran, ran.output).toMatchObject({ status: 0 })
    const operator = place.client("operator")
    const rows = async (): Promise<{ requests: number; outputTokens: number }[]> => (await operator.call("usage.list", { by: "agent" })).rows
    // Two turns at the least: the call and the end.
    await expect.poll(rows, { timeout: 10_000 }).toEqual([expect.objectContaining({ key: kind })])
    await expect.poll(async () => (await rows())[0]?.requests, { timeout: 10_000 }).toBeGreaterThanOrEqual(2)
    const [row] = await rows()
    expect(row?.outputTokens).toBe((row?.requests ?? 0) * USAGE.output)
    await model.close()
    place.close()
  })
})

const pair = WANTED.filter((kind) => binaryOf(kind) !== null).slice(0, 2)

describe.runIf(pair.length === 2)("two different agents", () => {
  test(`finish a plan of four tasks together: ${pair.join(" and ")}`, { timeout: 240_000 }, async () => {
    const [one, other] = pair as [AgentKind, AgentKind]
    const place = await team(pair)
    const operator = place.client("operator")
    await operator.call("plan.add", {
      name: "four",
      title: "Four tasks",
      digest: "4".repeat(64),
      tasks: [
        { id: "begin", title: "begin", requires: { [one]: 1 } },
        { id: "go-on", title: "go on", requires: { [other]: 1 }, dependsOn: ["begin"] },
        { id: "beside", title: "beside it", requires: { [one]: 1 }, dependsOn: ["begin"] },
        { id: "end", title: "end", requires: { [other]: 1 }, dependsOn: ["go-on", "beside"] },
      ],
    })
    const models = pair.map((kind) => new LoopbackModel(untilNothingIsLeft(kind, place.folder, 2)))
    const runs = await Promise.all(
      pair.map(async (kind, at) => {
        const modelUrl = await (models[at] as LoopbackModel).listen()
        return drive({ kind, binary: binaryOf(kind) ?? "", folder: place.folder, home: newHome(), modelUrl, prompt: "Work until nothing is left." })
      }),
    )
    for (const run of runs) expect(run, run.output).toMatchObject({ status: 0 })
    const { tasks } = await operator.call("task.list", { limit: 100 })
    expect(tasks.map(({ status, owner }) => ({ status, owner })).sort((a, b) => String(a.owner).localeCompare(String(b.owner)))).toEqual(
      [one, one, other, other].sort().map((owner) => ({ status: "completed", owner })),
    )
    for (const model of models) await model.close()
    place.close()
  })
})
