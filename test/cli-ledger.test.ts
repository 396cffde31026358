import { spawnSync } from "node:child_process"
import { once } from "node:events"
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { createServer } from "node:http"
import type { AddressInfo } from "node:net"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { DatabaseSync } from "node:sqlite"
import { text } from "node:stream/consumers"
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from "vitest"
import { json, newRepository, parseLines, skein, startSkein, tidyUp, until } from "./cli-driver.ts"

afterAll(tidyUp)

/** One repository with a running hub, for tests that do not end it. */
let repository = ""
beforeAll(async () => {
  repository = newRepository()
  await json(repository, ["up"])
})

describe("the ledger", () => {
  test("verify, replay, why and epochs need no hub", async () => {
    const folder = newRepository()
    await json(folder, ["up"])
    await json(folder, ["task", "add", "a", "A"])
    await json(folder, ["task", "claim", "a"])
    await json(folder, ["task", "complete", "a"])
    await skein(folder, ["down"])
    const [verified] = await json<{ entries: number; coveredTo: number; head: { seq: number } }>(folder, ["ledger", "verify"])
    expect(verified).toMatchObject({ ok: true, finding: null })
    expect(verified?.coveredTo).toBe((verified?.entries ?? 0) - 1)
    const [replayed] = await json<{ digest: string; entries: number }>(folder, ["ledger", "replay"])
    expect(replayed).toMatchObject({ ok: true, entries: verified?.entries })
    const entries = await json<{ seq: number; type: string }>(folder, ["ledger", "tail", "--from", "1"])
    const completed = entries.find(({ type }) => type === "task.completed")?.seq ?? 0
    const reasons = await json<{ type: string }>(folder, ["ledger", "why", String(completed)])
    expect(reasons.map(({ type }) => type)).toEqual(["task.completed", "task.claimed", "task.added"])
    const [changed] = await json<{ changes: { table: string; key: string; change: string }[] }>(folder, [
      "ledger",
      "replay",
      "--to",
      String(completed),
      "--diff",
      String(completed - 1),
    ])
    expect(changed?.changes).toContainEqual(expect.objectContaining({ table: "tasks", key: "a", change: "changed" }))
    expect((await json(folder, ["ledger", "epochs"])).length).toBeGreaterThan(0)
    const exported = (await skein(folder, ["ledger", "export"])).stdout.trimEnd().split("\n")
    expect(exported.length).toBe(entries.length)
  })

  test("tail and why name an entry that is none, and where to look", async () => {
    const folder = newRepository()
    await json(folder, ["up"])
    await skein(folder, ["down"])
    const database = new DatabaseSync(join(folder, ".skein", "ledger", "main.sqlite"))
    const others = `'{"seq":2,"atMs":1,"type":"x","actor":null,"data":{}}'`
    database.exec("DROP TRIGGER entries_only_grow; DROP TRIGGER entries_never_shrink")
    for (const bytes of ["''", "'null'", others]) {
      database.exec(`UPDATE entries SET bytes = ${bytes} WHERE seq = 2`)
      for (const args of [["tail"], ["tail", "--type", "none"], ["tail", "--since", "2020-01-01"], ["why", "2"]])
        expect(await skein(folder, ["ledger", ...args]), `${bytes} ${args.join(" ")}`).toMatchObject({
          status: 1,
          stderr: expect.stringMatching(/entry 2 is no entry of Skein's\nremedy: skein ledger verify/) as string,
        })
    }
    database.close()
  })

  test("what names no ledger, no checkpoint and no end is told by name and with what helps", async () => {
    const folder = newRepository()
    await json(folder, ["up"])
    const at = (name: string, text: string): string => {
      writeFileSync(join(folder, name), text)
      return name
    }
    const head = (await json<{ head: { seq: number } }>(folder, ["ledger", "verify"]))[0]?.head.seq ?? 0
    const WRONG: [string[], number, RegExp][] = [
      [["verify", "--file", at("text", "hello, this is no ledger")], 1, /^skein: text is not a sound SQLite file\nremedy: .*name a ledger's file$/m],
      [["replay", "--file", at("empty", "")], 1, /^skein: empty is not a Skein ledger\nremedy: name a ledger's file, such as/m],
      [["verify", "--checkpoint", "."], 1, /^skein: \. is a folder.*\nremedy: /m],
      [["verify", "--checkpoint", "/dev/zero"], 2, /^skein: \/dev\/zero is too long to be a checkpoint\nremedy: /m],
      [["check", ".", "--key", "$KEY"], 1, /^skein: \. is a folder.*\nremedy: /m],
      [["replay", "--to", "1", "--epoch", "1"], 2, /^skein: --to and --epoch both .*\nremedy: /m],
      [["export", "--from", "2", "--to", "1"], 2, /^skein: entry 1 comes before entry 2\nremedy: /m],
    ]
    await json(folder, ["ledger", "checkpoint"])
    const key = readFileSync(join(folder, ".skein", "keys", "checkpoint-main.pub"), "utf8").trim()
    for (const [args, status, said] of WRONG)
      expect(await skein(folder, ["ledger", ...args.map((word) => (word === "$KEY" ? key : word))]), args.join(" ")).toMatchObject({
        status,
        stdout: "",
        stderr: expect.stringMatching(said) as string,
      })
    expect(await skein(folder, ["ledger", "export", "--from", String(head + 100)])).toMatchObject({
      status: 0,
      stdout: "",
      stderr: expect.stringMatching(/^the ledger ends at entry \d+\n$/) as string,
    })
  })

  test("a proof for which there is no room is told by its file, and leaves what was there", async () => {
    const folder = newRepository()
    await json(folder, ["up"])
    await json(folder, ["task", "add", "long", "T", "--body", "x".repeat(4_000)])
    const [made] = await json<{ size: number }>(folder, ["ledger", "checkpoint"])
    writeFileSync(join(folder, "entry.proof"), "the one before")
    const prove = ["ledger", "prove", String(made?.size), "--out"]
    for (const [out, there] of [
      ["entry.proof", "the one before"],
      ["new.proof", null],
    ] as const) {
      const { status, stdout, stderr } = await startSkein(folder, [...prove, out], {}, { fileMaxBytes: 512 }).ended
      expect({ status, stdout, stderr }).toEqual({ status: 1, stdout: "", stderr: expect.stringMatching(/^skein: EFBIG.*\nremedy: .*ulimit -f/) as string })
      expect(stderr).toContain(`'${out}'`)
      expect(existsSync(join(folder, out)) ? readFileSync(join(folder, out), "utf8") : null).toBe(there)
    }
    expect(readdirSync(folder).filter((name) => name.includes(".proof"))).toEqual(["entry.proof"])
    await json(folder, [...prove, "entry.proof"])
    expect(JSON.parse(readFileSync(join(folder, "entry.proof"), "utf8"))).toBeTypeOf("object")
    // What is no file is written to as it is.
    const piped = spawnSync("/bin/sh", ["-c", '"$0" "$@" --out /dev/stdout | cat', process.execPath, "bin/skein.cjs", "-C", folder, ...prove.slice(0, 3)])
    expect(piped.stdout.toString()).toContain('"entry"')
  })

  test("tail shows what is looked for: by task, agent, type, text and time, the last ones or the first from a moment on", async () => {
    const folder = newRepository()
    await json(folder, ["up"])
    for (const task of ["a", "b"]) await json(folder, ["task", "add", task, `Task ${task}`])
    await json(folder, ["task", "claim", "a"])
    await json(folder, ["lease", "end", "a", "--reason", "it HANGS"])
    const of = async (...args: string[]): Promise<string[]> => (await json<{ type: string }>(folder, ["ledger", "tail", ...args])).map(({ type }) => type)
    const story = ["task.added", "task.claimed", "lease.ended", "event.sent"]
    expect(await of("--task", "a")).toEqual(story)
    expect(await of("--task", "a", "-n", "2")).toEqual(story.slice(2))
    expect(await of("--task", "a", "--from", "1", "-n", "1")).toEqual(story.slice(0, 1))
    expect(await of("--task", "a", "--type", "task.")).toEqual(story.slice(0, 2))
    expect(await of("--by", "operator", "--text", "hangs", "--type", "lease")).toEqual(["lease.ended"])
    expect(await of("--task", "a", "--since", "1h", "--until", "2099-01-01")).toEqual(story)
    const [entry] = await json<{ atMs: number }>(folder, ["ledger", "tail", "--type", "lease.ended"])
    const at = new Date(entry?.atMs ?? 0).toISOString().slice(0, 19)
    expect(await of("--since", `${at}Z`, "--until", `${at}Z`, "--type", "lease.ended"), "a time is all of its second").toEqual(["lease.ended"])
    expect(await of("--until", "2026-01-01 10:42")).toEqual([])
    expect((await skein(folder, ["ledger", "tail", "--task", "none"])).stderr).toContain("no entry is like that")
    expect(await skein(folder, ["ledger", "tail", "--since", "25:61"])).toMatchObject({ status: 2, stderr: expect.stringContaining("Write 10:42") as string })
  })

  test("a proof is checked offline by anyone who has the key, and by nobody with another", async () => {
    const folder = newRepository()
    await json(folder, ["up"])
    await json(folder, ["task", "add", "a", "A"])
    const [made] = await json<{ size: number }>(folder, ["ledger", "checkpoint"])
    const proof = join(folder, "entry.proof")
    await json(folder, ["ledger", "prove", String(made?.size), "--out", proof])
    await skein(folder, ["down"])
    const key = readFileSync(join(folder, ".skein", "keys", "checkpoint-main.pub"), "utf8").trim()
    expect(await json("/", ["ledger", "check", proof, "--key", key])).toMatchObject([{ ok: true, seq: made?.size }])
    expect(await skein(repository, ["ledger", "check", proof])).toMatchObject({ status: 1, stderr: expect.stringContaining("shows nothing") as string })
    writeFileSync(proof, readFileSync(proof, "utf8").replace('\\"A\\"', '\\"B\\"'))
    expect((await skein("/", ["ledger", "check", proof, "--key", key])).status).toBe(1)
    expect((await skein(folder, ["ledger", "check", join(folder, ".skein", "port")])).status).toBe(1)
  })

  test("a backup is one file, and one that a signal ends leaves nothing half written", async () => {
    const folder = mkdtempSync(join(tmpdir(), "skein-backup-"))
    onTestFinished(() => rmSync(folder, { recursive: true, force: true }))
    const [first, copy] = ["first.sqlite", "copy.sqlite"]
    await json(repository, ["ledger", "backup", join(folder, first)])
    expect(readdirSync(folder)).toEqual([first])
    // Signals come in the middle, and now and then too late: what is there then is whole.
    for (let times = 0; times < 8; times += 1) {
      const { child, ended } = startSkein(repository, ["ledger", "backup", join(folder, copy)])
      let isOver = false
      void ended.then(() => (isOver = true))
      while (!isOver && readdirSync(folder).length === 1) await new Promise((settle) => setImmediate(settle))
      child.kill(times % 2 === 0 ? "SIGINT" : "SIGTERM")
      await ended
      expect([[first], [copy, first]]).toContainEqual(readdirSync(folder).toSorted())
      rmSync(join(folder, copy), { force: true })
    }
  })

  test("a backup that has no place to go says which", async () => {
    const folder = mkdtempSync(join(tmpdir(), "skein-backup-"))
    onTestFinished(() => rmSync(folder, { recursive: true, force: true }))
    const { stderr } = await skein(repository, ["ledger", "backup", join(folder, "none", "copy.sqlite")])
    expect(stderr).toBe(`skein: there is no folder ${join(folder, "none")}\nremedy: make it, or give the backup another path\n`)
    expect((await skein(repository, ["ledger", "backup", ""])).status).toBe(2)
  })

  test("a backup is whole while the hub writes, and a byte changed in it is named at its entry", async () => {
    const copy = join(newRepository(), "copy.sqlite")
    await json(repository, ["task", "add", "copied", "The copied one"])
    await json(repository, ["ledger", "backup", copy])
    expect((await skein("/", ["ledger", "verify", "--file", copy])).status).toBe(0)
    const bytes = readFileSync(copy)
    for (let at = bytes.indexOf("The copied"); at !== -1; at = bytes.indexOf("The copied", at)) bytes.write("Tha", at)
    writeFileSync(copy, bytes)
    const { status, stderr } = await skein("/", ["ledger", "verify", "--file", copy, "--json"])
    expect({ status, error: JSON.parse(stderr) as unknown }).toMatchObject({ status: 1, error: { error: { details: { seq: expect.any(Number) as number } } } })
  })
})

describe("witnesses", () => {
  test("a witness cosigns what only grew, and a proof carries its name", async () => {
    const folder = newRepository()
    await json(folder, ["up"])
    await json(folder, ["ledger", "checkpoint"])
    const key = readFileSync(join(folder, ".skein", "keys", "checkpoint-main.pub"), "utf8").trim()
    const state = join(newRepository(), "witness.json")
    const serving = startSkein("/", ["witness", "serve", "--state", state, "--name", "owl", "--watch", key, "--json"])
    const { url, vkey } = await until(() => parseLines<{ url: string; vkey: string }>(serving.output())[0], "the witness listens")
    expect(await json(folder, ["witness", "add", url, vkey])).toMatchObject([{ witness: "owl", outcome: "cosigned" }])
    await json(folder, ["task", "add", "a", "A"])
    const [made] = await json<{ size: number; witnesses: unknown[] }>(folder, ["ledger", "checkpoint"])
    expect(made?.witnesses).toMatchObject([{ outcome: "cosigned" }])
    expect(await json(folder, ["witness", "status"])).toMatchObject([{ url, seenSize: made?.size }])
    expect(await json("/", ["witness", "status", "--state", state])).toMatchObject([{ size: made?.size, convictions: [] }])
    const proof = join(folder, "entry.proof")
    await json(folder, ["ledger", "prove", "1", "--out", proof])
    expect(await json("/", ["ledger", "check", proof, "--key", key, "--witness", vkey, "--quorum", "1"])).toMatchObject([{ cosignedBy: [{ name: "owl" }] }])
    // The hub's own round was faster with a later checkpoint: so says the witness to the first that comes.
    let overtaken = 0
    const faster = createServer((request, response) => {
      void (async () => {
        const body = await text(request)
        const size = Number(/\n\nskein\/.*\n(\d+)\n/.exec(body)?.[1])
        if ((overtaken += 1) === 1) return response.writeHead(409, { "content-type": "text/x.tlog.size" }).end(`${size + 1}\n`)
        const answer = await fetch(url + request.url, { method: "POST", body })
        response.writeHead(answer.status).end(await answer.text())
      })()
    }).listen(0, "127.0.0.1")
    await once(faster, "listening")
    const known = [{ url: `http://127.0.0.1:${(faster.address() as AddressInfo).port}`, vkey, seenSize: made?.size }]
    writeFileSync(join(folder, ".skein", "witnesses-main.json"), JSON.stringify(known))
    const [again] = await json<{ size: number; note: string }>(folder, ["ledger", "checkpoint"])
    faster.close()
    expect(again).toMatchObject({ note: expect.stringContaining(`\n${again?.size}\n`) as string, witnesses: [{ outcome: "cosigned" }] })
    serving.child.kill("SIGINT")
    expect((await serving.ended).status).toBe(0)
  })
})
