import { existsSync, readFileSync, rmSync } from "node:fs"
import { join } from "node:path"
import { afterAll, expect, test } from "vitest"
import { json, newRepository, parseLines, startSkein, tidyUp, until } from "./cli-driver.ts"

afterAll(tidyUp)

/** A repository whose export is followed, and has been written once. */
async function exporting(): Promise<{ folder: string; data: string; following: ReturnType<typeof startSkein> }> {
  const folder = newRepository()
  await json(folder, ["up"])
  const data = join(folder, "data")
  const following = startSkein(folder, ["export", "--dir", data, "--follow"])
  await until(() => (existsSync(join(data, "coordination_events.jsonl")) ? true : undefined), "the files are there")
  return { folder, data, following }
}

test("export writes all three, and with --follow they stay true, never half written", async () => {
  const { folder, data, following } = await exporting()
  for (let round = 0; round < 5; round += 1) {
    const [{ seq } = { seq: 0 }] = await json<{ seq: number }>(folder, ["task", "add", `t${round}`, "T"])
    const shown = await until(() => {
      const graph = JSON.parse(readFileSync(join(data, "task_graph.json"), "utf8")) as { seq: number; tasks: Record<string, unknown> }
      return graph.tasks[`t${round}`] === undefined ? undefined : graph
    }, `t${round} is shown`)
    expect(shown.seq).toBeGreaterThanOrEqual(seq)
  }
  following.child.kill("SIGINT")
  expect((await following.ended).status).toBe(0)
  const agents = JSON.parse(readFileSync(join(data, "agent_state.json"), "utf8")) as { agents: object }
  expect(agents.agents).toEqual({})
  const events = parseLines<{ seq: number }>(readFileSync(join(data, "coordination_events.jsonl"), "utf8"))
  expect(events.map(({ seq }) => seq)).toEqual(events.map((_, at) => at + 1))
})

test("export tells why it ends when its folder goes away, and does not break", async () => {
  const { folder, data, following } = await exporting()
  rmSync(data, { recursive: true })
  await json(folder, ["task", "add", "late", "T"])
  const { status, stderr } = await following.ended
  expect({ status, stderr }).toMatchObject({ status: 1, stderr: expect.stringMatching(/skein: ENOENT[^]*remedy: Nothing is there/) as string })
  expect(stderr).not.toContain("    at ")
})
