import { chmodSync, mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { expect, onTestFinished, test } from "vitest"
import { ControlClient } from "./control.ts"

/** A client of what is no tmux: a script in its place. */
function clientOf(script: string): { client: ControlClient; end: Promise<void> } {
  const folder = mkdtempSync(join(tmpdir(), "skein-control-"))
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }))
  const tmux = join(folder, "tmux")
  writeFileSync(tmux, `#!/bin/sh\n${script}\n`)
  chmodSync(tmux, 0o755)
  const ended = Promise.withResolvers<undefined>()
  const client = new ControlClient({
    tmux,
    socket: "none",
    session: "main",
    env: { PATH: process.env["PATH"] ?? "" },
    onEnd: () => ended.resolve(undefined),
  })
  onTestFinished(() => client.close())
  return { client, end: ended.promise }
}

const MUCH = "head -c 5000000 /dev/zero | tr '\\0'"

test.for([
  ["a line", `${MUCH} x`],
  ["a block", `echo "%begin 1 1 0"; ${MUCH} '\\n'`],
])("%s that has no end is not gathered: the client is ended after 4 MiB", async ([, script]) => {
  const { client, end } = clientOf(`${script as string}; exec sleep 60`)
  await end
  expect(await client.run({ words: ["list-panes"] })).toMatchObject({ ok: false, lost: true })
})

test("many answers may be longer together", async () => {
  const line = `head -c 3000000 /dev/zero | tr '\\0' x; echo`
  const answer = `read -r _; read -r _ _ token; echo "%begin 1 1 0"; ${line}; echo "%end 1 1 0"; echo "%begin 2 1 0"; eval "echo $token"; echo "%end 2 1 0"`
  const { client } = clientOf(`${answer}; ${answer}; exec sleep 60`)
  for (let times = 0; times < 2; times += 1) expect(await client.run({ words: ["list-panes"] })).toMatchObject({ ok: true })
})
