import type { Command } from "commander"
import { showUsd } from "../core/money.ts"
import { act, type Context, examples } from "./context.ts"
import { renderFields, renderTable } from "./table.ts"

/** `skein agent manifest`: what an agent can do, by its word and by its work. */
export function registerManifest(agent: Command): void {
  agent
    .command("manifest <name>")
    .description("Show what an agent can do: the skills that it declares, and those that its work has shown.")
    .addHelpText("after", examples(["skein agent manifest goose", "each skill with its level and the chance of success that is expected"]))
    .action(act(showManifest))
}

async function showManifest(context: Context, name: string): Promise<void> {
  const { terminal } = context
  const manifest = await (await context.hub()).call("agent.manifest", { name })
  terminal.record(manifest)
  if (terminal.json) return
  const { kind, role, status, model, account, maxActive, costPerHourMicroUsd, baseWeight, successBonus, successThreshold, tier, skills } = manifest
  const fields: [string, string | number | null][] = [
    ["agent", name],
    ["kind", kind],
    ["role", role],
    ["state", status],
    ["model", model],
    ["account", account],
    ["max active", maxActive],
    ["tier", tier ?? null],
    ["base weight", baseWeight ?? null],
    ["success bonus", successBonus ?? null],
    ["success from", successThreshold ?? null],
    ["cost", costPerHourMicroUsd === 0 ? null : `${showUsd(costPerHourMicroUsd)} an hour`],
  ]
  const rows = skills.map(({ skill, declared, learned, mean, deviation, seen }) => [
    skill,
    declared === null ? "" : String(declared),
    learned === null ? "" : String(learned),
    `${Math.round(100 * mean)} % ± ${Math.round(100 * deviation)}`,
    String(seen),
  ])
  const columns = [{ head: "skill", max: 60 }, ...["declared", "learned", "chance", "outcomes"].map((head) => ({ head, right: true }))]
  const table = rows.length === 0 ? "it declares no skill, and none was seen yet" : renderTable(terminal, columns, rows)
  terminal.print(`${renderFields(terminal, fields)}\n\n${table}`)
}
