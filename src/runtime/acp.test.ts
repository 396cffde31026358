import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join, resolve } from "node:path"
import { expect, test, type TestContext } from "vitest"
import { delivery, until } from "../../test/terminal/terminals.ts"
import { AcpDriver, type AcpOptions } from "./acp.ts"
import type { PermissionRequest, TurnUsage } from "./acp-connection.ts"
import type { Address, Launch } from "./driver.ts"
import { readerPreset } from "../../test/terminal/terminals.ts"

type Place = { driver: AcpDriver; launch: Launch; heard(): { text: string; turns: number; sessionId: string }[] }

/** A place that ends with its test, and not with the tests that run beside it. */
function place({ onTestFinished }: Pick<TestContext, "onTestFinished">, options: AcpOptions = {}, ...age: "old"[]): Place {
  const folder = mkdtempSync(join(tmpdir(), "skein-acp-"))
  const driver = new AcpDriver(options)
  onTestFinished(async () => {
    await driver.close()
    rmSync(folder, { recursive: true, force: true })
  })
  const preset = {
    ...readerPreset("plain"),
    name: "talker",
    acp: { argv: [process.execPath, resolve("test/terminal/acp-agent.mjs"), folder, ...age] as const, resumes: true },
  }
  return {
    driver,
    launch: { agent: "ada", preset, cwd: folder, env: {}, resumeId: null, prompt: null },
    heard: () =>
      existsSync(join(folder, "heard.jsonl"))
        ? readFileSync(join(folder, "heard.jsonl"), "utf8")
            .trim()
            .split("\n")
            .map((line) => JSON.parse(line) as { text: string; turns: number; sessionId: string })
        : [],
  }
}

async function started({ driver, launch }: Place): Promise<Address> {
  const one = await driver.start(launch)
  if (!one.ok) throw new Error(one.detail)
  return one.address
}

test.concurrent("prompts come one at a time, in their order", async (context) => {
  const here = place(context)
  const address = await started(here)
  const all = ["one", "two", "three"]
  expect(await Promise.all(all.map((text) => here.driver.deliver(address, delivery(text))))).toMatchObject(all.map(() => ({ ok: true, channel: "acp" })))
  await until("all were heard", () => here.heard().length === 3)
  expect(here.heard().map(({ text, turns }) => ({ text, turns }))).toEqual(all.map((text) => ({ text, turns: 1 })))
})

test.concurrent("what it asks leave for is asked of the callback; an answer that was not offered is none", async (context) => {
  const asked: PermissionRequest[] = []
  const answers = ["yes", "no such option"]
  const here = place(context, { permission: async (request) => (asked.push(request), answers.shift() ?? null) })
  const address = await started(here)
  for (const times of [1, 2]) {
    await here.driver.deliver(address, delivery("ask"))
    await until("it has its answer", async () => (await here.driver.capture(address)).split("answer:").length === times + 1)
  }
  expect((await here.driver.capture(address)).match(/answer: .*/g)).toEqual(["answer: yes", "answer: cancelled"])
  expect(asked[0]).toMatchObject({ agent: "ada", title: "rm -r /", options: [{ id: "yes", kind: "allow_once" }, { id: "no" }] })
})

test.concurrent("without a callback all that it asks is rejected", async (context) => {
  const here = place(context)
  const address = await started(here)
  await here.driver.deliver(address, delivery("ask"))
  await until("it has its answer", async () => (await here.driver.capture(address)).includes("answer: no"))
})

test.concurrent("a turn's tokens and its own share of the cost are told", async (context) => {
  const told: TurnUsage[] = []
  const here = place(context, { usage: (usage) => told.push(usage) })
  const address = await started(here)
  for (const text of ["one", "two"]) await here.driver.deliver(address, delivery(text))
  await until("both are told", () => told.length === 2)
  for (const usage of told) expect(usage).toMatchObject({ agent: "ada", inputTokens: 12, outputTokens: 34, costMicroUsd: 250_000 })
})

test.concurrent("what a conversation had cost before it was gone on with is not counted again", async (context) => {
  const told: TurnUsage[] = []
  const here = place(context, { usage: (usage) => told.push(usage) })
  const address = await started(here)
  await here.driver.stop(address)
  const again = await here.driver.start({ ...here.launch, resumeId: address.session })
  if (!again.ok) throw new Error(again.detail)
  for (const text of ["one", "two"]) await here.driver.deliver(again.address, delivery(text))
  await until("both are told", () => told.length === 2)
  expect(told.map(({ costMicroUsd }) => costMicroUsd)).toEqual([null, 250_000])
})

test.concurrent("an interrupted turn ends, also while a permission is awaited, and the next one begins", async (context) => {
  const here = place(context, { permission: () => new Promise(() => {}) })
  const address = await started(here)
  for (const text of ["wait", "ask"]) {
    await here.driver.deliver(address, delivery(text))
    await until("it is at it", () => here.heard().at(-1)?.text === text)
    await here.driver.interrupt(address)
  }
  await here.driver.deliver(address, delivery("after"))
  await until("the next was heard", () => here.heard().at(-1)?.text === "after")
  expect(await here.driver.capture(address)).toContain("answer: cancelled")
})

test.concurrent("a conversation is gone on with by its id, resumed or loaded; one that is not known fails at once", async (context) => {
  for (const age of [[], ["old"]] as "old"[][]) {
    const here = place(context, {}, ...age)
    const address = await started(here)
    await here.driver.stop(address)
    expect(await here.driver.alive(address)).toMatchObject({ alive: false })
    const again = await here.driver.start({ ...here.launch, resumeId: address.session, prompt: "go on" })
    expect(again).toMatchObject({ ok: true, address: { session: address.session } })
    await until("it was heard", () => here.heard().length === 1)
    expect(here.heard()[0]?.sessionId).toBe(address.session)
    await here.driver.close()
    expect(await here.driver.start({ ...here.launch, resumeId: "s-0" })).toMatchObject({ ok: false, code: "RESUME_FAILED" })
  }
})

test.concurrent("one that ends is told of, and its prompt fails", async (context) => {
  const ended: unknown[] = []
  const here = place(context, { events: { ended: (agent, exit) => ended.push([agent, exit]) } })
  const address = await started(here)
  expect(await here.driver.deliver(address, delivery("crash"))).toMatchObject({ ok: false, code: "SEND_KEYS_ERROR" })
  await until("it is told", () => ended.length === 1)
  expect(ended).toEqual([["ada", 4]])
  expect(await here.driver.deliver(address, delivery("more"))).toMatchObject({ ok: false, code: "TARGET_NOT_FOUND" })
})

test.concurrent("a program that is missing, or speaks no ACP, is not started, and nothing of it is left", async (context) => {
  const here = place(context)
  expect(await here.driver.start({ ...here.launch, binary: "no-such-agent" })).toMatchObject({ ok: false, code: "SPAWN_FAILED" })
  const silent = { ...here.launch.preset, acp: { argv: [process.execPath, "-e", "console.error('what?'); process.exit(9)"] as const, resumes: true } }
  expect(await here.driver.start({ ...here.launch, preset: silent })).toMatchObject({
    ok: false,
    code: "SPAWN_FAILED",
    detail: expect.stringContaining("what?"),
  })
  expect(await here.driver.running()).toEqual([])
})
