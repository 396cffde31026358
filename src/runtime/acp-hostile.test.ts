import { mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { expect, test, type TestContext } from "vitest"
import { delivery, readerPreset, until } from "../../test/terminal/terminals.ts"
import { AcpDriver, type AcpOptions } from "./acp.ts"
import type { TurnUsage } from "./acp-connection.ts"
import type { Launch } from "./driver.ts"

const OPENS = ['{"jsonrpc":"2.0","id":0,"result":{"protocolVersion":1}}', '{"jsonrpc":"2.0","id":1,"result":{"sessionId":"c"}}']

/** An agent that says one text at each line that it hears, and then goes on to listen. */
function agentThatSays(
  { onTestFinished }: Pick<TestContext, "onTestFinished">,
  says: readonly string[],
  options: AcpOptions = {},
): { driver: AcpDriver; launch: Launch } {
  const folder = mkdtempSync(join(tmpdir(), "skein-acp-"))
  const driver = new AcpDriver(options)
  onTestFinished(async () => {
    await driver.close()
    rmSync(folder, { recursive: true, force: true })
  })
  for (const [at, text] of says.entries()) writeFileSync(join(folder, String(at)), `${text}\n`)
  const script = 'n=0; while IFS= read -r line; do [ -f "$0/$n" ] && cat "$0/$n"; n=$((n+1)); done; sleep 60'
  const preset = { ...readerPreset("plain"), name: "hostile", acp: { argv: ["/bin/sh", "-c", script, folder] as const, resumes: true } }
  return { driver, launch: { agent: "ada", preset, cwd: folder, env: {}, resumeId: null, prompt: null } }
}

const deep = "[".repeat(100_000) + "]".repeat(100_000)

// By itself: a failure later than half a second, as megabytes beside it make it, is told as the end of a turn that was under way.
test("a failure whose data nests without end fails the prompt, and nothing else", async (context) => {
  const { driver, launch } = agentThatSays(context, [...OPENS, `{"jsonrpc":"2.0","id":2,"error":{"code":1,"message":"no","data":${deep}}}`])
  const started = await driver.start(launch)
  if (!started.ok) throw new Error(started.detail)
  expect(await driver.deliver(started.address, delivery("go"))).toMatchObject({
    ok: false,
    code: "SEND_KEYS_ERROR",
    detail: expect.stringContaining("64 levels"),
  })
  expect(await driver.alive(started.address)).toMatchObject({ alive: true })
})

test.concurrent("an agent that can be spoken to no more is ended, though its process would go on", async (context) => {
  const { driver, launch } = agentThatSays(context, [...OPENS, "x".repeat(33 * 1024 * 1024)])
  const started = await driver.start(launch)
  if (!started.ok) throw new Error(started.detail)
  await driver.deliver(started.address, delivery("go"))
  await until("it is ended", async () => !(await driver.alive(started.address)).alive)
})

test.concurrent("an agent that asks without end and reads no answer is ended", async (context) => {
  const asks = '{"jsonrpc":"2.0","id":9,"method":"none","params":{}}\n'.repeat(1_000)
  const { driver, launch } = agentThatSays(context, [...OPENS])
  const script = `read l; cat "$0/0"; read l; cat "$0/1"; while cat "$0/2"; do :; done`
  writeFileSync(join(launch.cwd, "2"), asks)
  const preset = { ...launch.preset, acp: { argv: ["/bin/sh", "-c", script, launch.cwd] as const, resumes: true } }
  const started = await driver.start({ ...launch, preset })
  if (!started.ok) throw new Error(started.detail)
  await until("it is ended", async () => !(await driver.alive(started.address)).alive)
})

test.concurrent("figures that are none are not told, and the others are", async (context) => {
  const told: TurnUsage[] = []
  const cost = (amount: unknown): string =>
    `{"jsonrpc":"2.0","method":"session/update","params":{"update":{"sessionUpdate":"usage_update","cost":{"amount":${String(amount)},"currency":"USD"}}}}`
  const usage =
    '{"jsonrpc":"2.0","id":2,"result":{"stopReason":"end_turn","usage":{"inputTokens":-1,"outputTokens":2,"cachedReadTokens":1.5,"cachedWriteTokens":1e300}}}'
  const { driver, launch } = agentThatSays(context, [...OPENS, [cost(0.5), cost(-1), cost(1e300), cost('"x"'), usage].join("\n")], {
    usage: (one) => told.push(one),
  })
  const started = await driver.start(launch)
  if (!started.ok) throw new Error(started.detail)
  await driver.deliver(started.address, delivery("go"))
  await until("it is told", () => told.length === 1)
  expect(told).toMatchObject([{ inputTokens: null, outputTokens: 2, cacheReadTokens: null, cacheWriteTokens: null, costMicroUsd: 500_000 }])
})

test.concurrent("an agent that fails without a word is told as that", async (context) => {
  for (const message of ["", " "]) {
    const { driver, launch } = agentThatSays(context, [`{"jsonrpc":"2.0","id":0,"error":{"code":-32603,"message":"${message}","data":null}}`])
    expect(await driver.start(launch)).toMatchObject({ ok: false, code: "SPAWN_FAILED", detail: "it failed without a word" })
  }
})

test.concurrent("a conversation without a name that can be kept is none", async (context) => {
  for (const name of ['"a\\u001b[2J"', '""', "7", "null", JSON.stringify("x".repeat(201))]) {
    const { driver, launch } = agentThatSays(context, [OPENS[0] as string, `{"jsonrpc":"2.0","id":1,"result":{"sessionId":${name}}}`])
    expect(await driver.start(launch)).toMatchObject({ ok: false, code: "SPAWN_FAILED", detail: expect.stringContaining("conversation") })
  }
})
