import { existsSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { type AddressInfo, createServer } from "node:net"
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
  expect((await following.ended).status).toBe(130)
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

test.each([
  ["SIGINT", ["export", "--dir", "data"], "SIGINT"],
  ["SIGTERM", ["export", "--dir", "data"], "SIGTERM"],
  ["SIGINT", ["export", "--dir", "data", "--follow"], 130],
  ["SIGTERM", ["cost", "--follow"], "SIGTERM"],
  ["SIGINT", ["status", "--follow"], "SIGINT"],
  ["SIGINT", ["ledger", "tail", "--follow"], 130],
] as const)("where the hub answers no more, the first %s ends skein %j: %s", async (signal, args, ends) => {
  const folder = newRepository()
  await json(folder, ["up"])
  let asked = false
  // It tells the ledger's head, and then nothing more.
  const head = '{"json":{"seq":1}}'
  const silent = createServer((socket) => {
    socket.on("error", () => undefined)
    socket.on("data", (bytes) => {
      if (bytes.includes("POST /rpc/ledger/head ")) socket.write(`HTTP/1.1 200 OK\r\nContent-Length: ${head.length}\r\n\r\n${head}`)
      else asked = true
    })
  })
  await new Promise<void>((listening) => silent.listen(0, "127.0.0.1", listening))
  const file = join(folder, ".skein", "hub.json")
  const { port } = silent.address() as AddressInfo
  writeFileSync(file, readFileSync(file, "utf8").replace(/"url":\s*"[^"]*"/, `"url":"http://127.0.0.1:${port}"`))
  const { child, ended } = startSkein(folder, args)
  await until(() => (asked ? true : undefined), "it has asked the hub")
  child.kill(signal)
  await ended
  silent.close()
  expect(child.signalCode ?? child.exitCode).toBe(ends)
  expect(existsSync(join(folder, "data", "agent_state.json"))).toBe(false)
})

test("where there is no room, export says for which file, and leaves no half of one", async () => {
  const folder = newRepository()
  await json(folder, ["up"])
  for (const task of ["a", "b", "c"]) await json(folder, ["task", "add", task, "T"])
  const data = join(folder, "data")
  const refused = await startSkein(folder, ["export", "--dir", data], {}, { fileMaxBytes: 1_024 }).ended
  expect(refused).toMatchObject({ status: 1, stdout: "", stderr: expect.stringMatching(/^skein: EFBIG.*data\/.*\nremedy: .*ulimit -f/) as string })
  expect(readdirSync(data).filter((name) => !/^(agent_state\.json|task_graph\.json)$/.test(name))).toEqual([])
  // Going on it finds no room for the end of what comes: what is there are whole lines.
  const following = startSkein(folder, ["export", "--dir", data, "--follow"], {}, { fileMaxBytes: 8_192 })
  await until(() => (existsSync(join(data, "coordination_events.jsonl")) ? true : undefined), "the files are there")
  let ended = false
  void following.ended.then(() => (ended = true))
  for (let at = 0; !ended && at < 40; at += 1) await json(folder, ["task", "add", `t${at}`, "T"])
  expect(await following.ended).toMatchObject({ status: 1, stderr: expect.stringContaining("skein: EFBIG") as string })
  const text = readFileSync(join(data, "coordination_events.jsonl"), "utf8")
  expect(text.endsWith("}\n")).toBe(true)
  expect(parseLines<{ seq: number }>(text).map(({ seq }) => seq)).toEqual(parseLines(text).map((_, at) => at + 1))
})
