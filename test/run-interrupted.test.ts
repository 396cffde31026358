import { existsSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { afterAll, expect, test } from "vitest"
import { newRepository, startSkein, tidyUp, until } from "./cli-driver.ts"
import { runningWith } from "./left-running.ts"

afterAll(tidyUp)

/** A run whose hub is being started. */
async function beginning() {
  const folder = newRepository()
  writeFileSync(join(folder, "plan.json"), JSON.stringify({ plan: "early", tasks: [{ id: "a", title: "Nap", run: "sleep 0" }] }))
  const run = startSkein(folder, ["run", "plan.json"])
  await until(() => (existsSync(join(folder, ".skein", "logs", "start.log")) ? true : undefined), "the hub is being started")
  return { run, folder }
}

test("a run that is interrupted while the hub that it starts comes up leaves none behind, and says so with 130", async () => {
  const { run, folder } = await beginning()
  run.child.kill("SIGINT")
  expect(await run.ended).toMatchObject({ status: 130, stdout: expect.stringContaining("the same command goes on") as string })
  expect(runningWith(`--repo ${folder} `)).toEqual([])
})

test("nor does one that is interrupted twice, the second time before it has looked after its hub again", async () => {
  const { run, folder } = await beginning()
  run.child.kill("SIGINT")
  run.child.kill("SIGTERM")
  expect(await run.ended).toMatchObject({ status: 143 })
  await until(() => (runningWith(`--repo ${folder} `).length === 0 ? true : undefined), "no hub is left")
})
