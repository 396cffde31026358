import { execFileSync } from "node:child_process"
import { mkdtempSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { expect, test } from "vitest"
import { PLAN } from "./scenario.ts"
import { OPERATOR, CLAIM_ANY, DONE, openRig } from "./simulation/rig.ts"
import { openSqlite } from "../src/ledger/sqlite.ts"
import { verify } from "../src/ledger/audit.ts"

const REPLAYER = `
  import { replay } from ${JSON.stringify(new URL("../src/hub/replay.ts", import.meta.url).href)}
  import { openSqlite } from ${JSON.stringify(new URL("../src/ledger/sqlite.ts", import.meta.url).href)}
  import { sha256 } from ${JSON.stringify(new URL("../src/ledger/sha256.ts", import.meta.url).href)}
  const ledger = openSqlite({ path: process.argv[1], readOnly: true })
  const { entries, digest, compared } = await replay(ledger, sha256)
  console.log(JSON.stringify({ entries, digest, compared: compared.length, wrong: compared.filter(({ ok }) => !ok).length }))
`

test("10,000 entries of a team's work replay, in another process, to the digest that the hub recorded", { timeout: 60_000 }, async () => {
  const path = join(mkdtempSync(join(tmpdir(), "skein-ten-thousand-")), "main.sqlite")
  const rig = await openRig({ limits: { checkpointMs: 1_000_000, checkpointEntries: 1_000 } })
  const agents = await rig.agents("ann", "ben", "eve", "kim")
  const tasks = Array.from({ length: 2_600 }, (_, at) => ({
    id: `t${at}`,
    title: `Täsk ${at} 🪿`,
    dependsOn: at < 8 ? [] : [`t${at - 1 - (at % 7)}`],
    priority: at % 5 === 0 ? ("high" as const) : ("normal" as const),
  }))
  await rig.execute("plan.add", OPERATOR, {
    ...PLAN,
    name: "long",
    title: "Long",
    digest: "d",
    tasks,
  })
  for (let round = 0; rig.loop.head.seq < 10_000; round += 1) {
    const agent = agents[round % agents.length] as (typeof agents)[number]
    const claimed = await rig.run(rig.loop.execute("task.claimNext", agent, CLAIM_ANY).catch(() => null))
    const [claim] = claimed?.claims ?? []
    if (claim === undefined) continue
    const under = { task: claim.task.id, fence: claim.fence }
    await rig.execute("task.update", agent, { ...under, progress: 0.5, note: `round ${round}` }, { key: { id: `k${round}`, hash: "0".repeat(32) } })
    if (round % 11 === 0) await rig.execute("task.fail", agent, { ...under, reason: "flaky", retry: true, usage: DONE.usage })
    else if (round % 13 === 0) await rig.execute("task.release", agent, { ...under, reason: "later" })
    else await rig.execute("task.complete", agent, { ...under, ...DONE })
    if (round % 500 === 499) await rig.clock.advance(30_000)
  }
  const live = await rig.run(rig.loop.checkpoint())
  await rig.run(rig.hub.close())
  const written = openSqlite({ path })
  for (let at = 0; at < rig.store.entries.length; at += 1_000) await written.append(at, rig.store.entries.slice(at, at + 1_000))
  await written.close()
  const ledger = openSqlite({ path, readOnly: true })
  const report = await verify(ledger, [{ size: live.size, root: Buffer.from(live.root, "hex"), source: "this test" }])
  await ledger.close()
  expect(report).toMatchObject({ ok: true, coveredTo: live.size })
  const replayed = JSON.parse(
    execFileSync(process.execPath, ["--disable-warning=ExperimentalWarning", "--input-type=module", "-e", REPLAYER, path], {
      encoding: "utf8",
      cwd: fileURLToPath(new URL(".", import.meta.url)),
    }),
  ) as { entries: number; compared: number; wrong: number }
  expect(replayed.entries).toBeGreaterThan(10_000)
  expect(replayed).toMatchObject({ entries: report.entries, wrong: 0 })
  expect(replayed.compared).toBeGreaterThan(7)
})
