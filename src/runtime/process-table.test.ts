import { spawn } from "node:child_process"
import { expect, test } from "vitest"
import { processRow, processTable } from "./process-table.ts"

test("The table of processes holds this one and its parent, and tells those that have ended and were not asked for", async () => {
  // What the shell started becomes the child of a program that never asks for it.
  const child = spawn("/bin/sh", ["-c", "exit 3 & exec sleep 60"], { stdio: "ignore", detached: true })
  const pid = child.pid as number
  try {
    const own = await processRow(process.pid)
    expect(own).toMatchObject({ pid: process.pid, parent: process.ppid, zombie: false })
    let dead = undefined
    while (dead === undefined) dead = (await processTable()).find(({ parent, zombie }) => parent === pid && zombie)
    expect(dead).toMatchObject({ group: pid, session: pid })
    expect((await processTable()).find((one) => one.pid === pid)).toMatchObject({
      parent: process.pid,
      group: pid,
      foreground: -1,
      zombie: false,
      name: "sleep",
    })
  } finally {
    child.kill("SIGKILL")
  }
  await new Promise((settle) => child.once("close", settle))
  expect(await processRow(pid)).toBeNull()
})
