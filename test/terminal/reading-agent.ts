/**
 * A scripted agent for a terminal: raw input with bracketed paste, a prompt, and instead of a model this: at each wake it reads what is unread for it at the hub,
 * and acknowledges it with the trigger's nonce, as a real agent does with its tools. What happens to it stands in FOLDER/AGENT.jsonl.
 * Arguments: FOLDER [new ID | resume ID]. Texts that it obeys: `/die` (status 3), `/exit`, `/deaf` (takes texts, and does nothing with
 * them from now on), `/out` (its account is used up). One that names
 * `claim_task` has it work on tasks.
 */
import { appendFileSync, existsSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { httpClient } from "../../src/client/http.ts"
import { noncesIn } from "../../src/core/nonce.ts"

const [, , folder = ".", how = "new", conversation = "none"] = process.argv
const agent = process.env["SKEIN_AGENT"] ?? "nobody"
const remembered = join(folder, `${conversation}.conversation`)
const hub = httpClient({ url: process.env["SKEIN_URL"] ?? "", credentialFile: process.env["SKEIN_TOKEN_FILE"] ?? "", timeoutMs: 5_000 })

function record(event: object): void {
  appendFileSync(join(folder, `${agent}.jsonl`), `${JSON.stringify({ atMs: Date.now(), pid: process.pid, ...event })}\n`)
}

if (existsSync(join(folder, `${agent}.broken`))) {
  process.stdout.write("it does not start today\r\n")
  process.exit(4)
}
if (how === "resume" && !existsSync(remembered)) {
  record({ event: "unknown", conversation })
  process.stdout.write(`No conversation found with session ID: ${conversation}\r\n`)
  process.exit(1)
}
writeFileSync(remembered, "")
record({ event: "started", how, conversation })

let text = ""
let pasting = false
let deaf = false
let work: Promise<void> = Promise.resolve()

async function read(nonce: string | null): Promise<void> {
  await hub.call("session.turn", { state: "started", nonce })
  for (;;) {
    const { threads } = await hub.call("message.unread", { limit: 100 })
    if (threads.length === 0) break
    for (const { thread, lastReadSeq } of threads) {
      const { messages } = await hub.call("message.read", { thread, sinceSeq: lastReadSeq, limit: 200 })
      const last = messages.at(-1)
      if (last === undefined) continue
      // Before it says so: a hub that is killed once it knows, and before it answers, does not bring them again.
      for (const { message, body, sender } of messages) if (sender !== agent) record({ event: "read", thread, message, body })
      await hub.call("message.ack", { thread, lastReadSeq: last.message, ...(nonce === null ? {} : { trigger: nonce }) })
    }
  }
  await hub.call("session.turn", { state: "ended", nonce: null })
  record({ event: "done", nonce })
}

/** Takes tasks as long as any is ready. */
async function workOn(): Promise<void> {
  for (;;) {
    const claimed = await hub.call("task.claimNext", { max: 1, waitMs: 0 }).catch(() => null)
    const claim = claimed?.claims[0]
    if (claim === undefined) return
    await hub.call("task.update", { task: claim.task.id, fence: claim.fence })
    await hub.call("task.complete", { task: claim.task.id, fence: claim.fence, deliverable: { text: `done by ${agent}` } })
    record({ event: "completed", text: claim.task.id })
  }
}

/** A hub that is away comes back. */
async function readAtLast(nonce: string | null): Promise<void> {
  for (;;) {
    try {
      return await read(nonce)
    } catch (error) {
      record({ event: "failed", why: error instanceof Error ? error.message : String(error) })
      await new Promise((settle) => setTimeout(settle, 300))
    }
  }
}

function submit(line: string): void {
  if (line.trim() === "") return
  const nonce = noncesIn(line)[0] ?? null
  record({ event: "text", text: line, nonce })
  if (line === "/die") process.exit(3)
  if (line === "/exit") process.exit(0)
  if (line === "/deaf") deaf = true
  if (line === "/out") process.stdout.write("You've hit your usage limit\r\n")
  if (!deaf && nonce !== null) work = work.then(() => readAtLast(nonce))
  if (!deaf && line.includes("claim_task")) work = work.then(workOn)
}

function draw(): void {
  process.stdout.write(`\r\x1b[K> ${text.split("\n").at(-1)?.slice(-60) ?? ""}`)
}

function take(input: string): void {
  for (const [piece] of input.matchAll(/\x1b\[20[01]~|[\s\S]/g)) {
    if (piece === "\x1b[200~") pasting = true
    else if (piece === "\x1b[201~") pasting = false
    else if (piece === "\r" && !pasting) {
      const line = text
      text = ""
      process.stdout.write(`\r\n${line}\r\n`)
      submit(line)
    } else if (piece === "\x7f") text = text.slice(0, -1)
    else text += piece === "\r" ? "\n" : piece
  }
  draw()
}

process.stdin.setRawMode(true)
process.stdin.setEncoding("utf8").on("data", take)
process.stdout.write("ready for input\r\n\x1b[?2004h")
draw()
