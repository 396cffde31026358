import { statSync } from "node:fs"
import { join } from "node:path"
import type { Command } from "commander"
import type { Output } from "../contract/operations.ts"
import { act, asText, collect, type Context, duration, examples, integer, oneOf } from "./context.ts"
import { asDirector } from "./director.ts"
import { conflictLines, foreseen } from "./files-foreseen.ts"
import { paged } from "./paging.ts"
import { printable } from "./printable.ts"
import { showTime } from "./local-time.ts"
import { renderTable } from "./table.ts"

const MODES = ["exclusive", "shared"] as const
type Reserve = { mode: (typeof MODES)[number]; ttl?: number; reason: string; task?: string; fence?: number }
type Release = { glob?: string[]; reason: string }

/** `skein files`: who holds which files, and what would conflict. */
export function register(program: Command): void {
  const files = program.command("files").description("Leases on files: who may edit what, by globs relative to the repository's top.")
  files
    .command("reserve <glob...>")
    .description("Reserve files, all of the globs or none. What a task touches is reserved by its claim already.")
    .option("--mode <word>", "exclusive, or shared with others who say so too", oneOf(MODES), "exclusive")
    .option("--ttl <duration>", "how long it lasts without a sign of life, 1s to 1h (default: 15m)", duration(1_000, 3_600_000))
    .option("--reason <text>", "what for", "reserved")
    .option("--task <id>", "for this task: it goes when you let go of the task")
    .option("--fence <n>", "the fence of your claim on it", integer(1, Number.MAX_SAFE_INTEGER))
    .addHelpText("after", examples(["skein files reserve 'src/core/**' docs/glossary.md --reason 'rename the fold'", "nobody else may edit them now"]))
    .action(act(reserve))
  files
    .command("release [lease]")
    .description("Release a lease; without one, all that you hold.")
    .option("--glob <glob>", "only this glob of it; may be repeated", collect(asText))
    .option("--reason <text>", "why", "released")
    .addHelpText(
      "after",
      examples(["skein files release f12", "others may have them"], ["skein files release --glob docs/glossary.md", "the rest stays yours"]),
    )
    .action(act(release))
  files
    .command("renew <lease>")
    .description("Put the end of a lease off, and take it over into this session.")
    .addHelpText("after", examples(["skein files renew f12", "seldom needed: whatever you do renews it"]))
    .action(
      act(async (context: Context, lease: string) => {
        const answer = await (await context.hub()).call("files.renew", { lease })
        context.terminal.answer(answer, `lease ${lease} lasts until ${showTime(answer.endsAtMs)}`)
      }),
    )
  files
    .command("list")
    .description("Show who holds which files: by leases, and by tasks that touch them.")
    .option("--agent <name>", "of this agent")
    .option("--path <path>", "what covers this file")
    .addHelpText("after", examples(["skein files list", "all of them"], ["skein files list --path src/core/task.ts", "who holds that file"]))
    .action(act(list))
  files
    .command("check <path...>")
    .description("Say whether you may edit these files now. Exit status 1 where another agent holds one.")
    .addHelpText(
      "after",
      examples(["skein files check src/core/task.ts", "before you edit it"], ["skein files check src/core/", "before you move or remove it all"]),
    )
    .action(act(check))
  files
    .command("conflicts [branch...]")
    .description(
      "Merge all worktrees (and the branches that are named) with each other in memory, and say which would conflict, and where. Nothing is changed.",
    )
    .addHelpText("after", examples(["skein files conflicts", "before it hurts"], ["skein files conflicts feature/login", "with a branch besides"]))
    .action(act(conflicts))
}

async function reserve(context: Context, globs: string[], { mode, ttl, reason, task, fence }: Reserve): Promise<void> {
  const hub = await context.hub()
  const wish = {
    globs,
    mode,
    reason,
    task: task ?? null,
    fence: fence ?? null,
    ...(ttl === undefined ? {} : { ttlMs: ttl }),
  }
  const answer = await asDirector(context, () => hub.call("files.reserve", wish))
  context.terminal.answer(
    answer,
    `${answer.lease}: ${printable(globs.join(" "))} ${globs.length === 1 ? "is" : "are"} yours (${mode}) until ${showTime(answer.endsAtMs)}`,
  )
}

async function release(context: Context, lease: string | undefined, { glob, reason }: Release): Promise<void> {
  const answer = await (await context.hub()).call("files.release", { lease: lease ?? null, globs: glob ?? null, reason })
  context.terminal.answer(answer, answer.globs.length === 0 ? "you held none" : `released: ${printable(answer.globs.join(" "))}`)
}

async function list(context: Context, { agent, path }: { agent?: string; path?: string }): Promise<void> {
  const { terminal } = context
  const hub = await context.hub()
  const about = path === undefined ? null : await fromTop(context, path)
  const found = await paged(async (cursor: number | null) => {
    const page = await hub.call("files.list", { agent: agent ?? null, path: about, limit: 1_000, cursor })
    return { items: page.holdings, cursor: page.cursor }
  })
  for (const holding of found) terminal.record(holding)
  if (terminal.json) return
  const rows = found.map(({ lease, agent: of, mode, globs, task, endsAtMs, reason }) => [
    lease ?? "",
    of,
    mode,
    globs.join(" "),
    task ?? "",
    endsAtMs === null ? "with its review" : showTime(endsAtMs),
    lease === null ? "its task touches them" : reason,
  ])
  const columns = [
    { head: "lease" },
    { head: "agent" },
    { head: "mode" },
    { head: "files", max: 60 },
    { head: "task", max: 30 },
    { head: "until" },
    { head: "reason", max: 40 },
  ]
  terminal.print(found.length === 0 ? "nobody holds files" : renderTable(terminal, columns, rows))
}

async function check(context: Context, paths: string[]): Promise<void> {
  const { terminal } = context
  const named = await Promise.all(paths.map((path) => fromTop(context, path)))
  const answer = await (await context.hub()).call("files.check", { paths: named })
  terminal.answer(answer, () => answer.paths.map(checkLine).join("\n"))
  if (!answer.allowed) process.exitCode = 1
}

function checkLine({ path, heldBy, mine }: Output<"files.check">["paths"][number]): string {
  if (heldBy === null) return `${printable(path)}: ${mine ? "yours" : "free"}`
  const until = heldBy.endsAtMs === null ? "" : ` until ${showTime(heldBy.endsAtMs)}`
  return `${printable(path)}: ${heldBy.agent} holds ${printable(heldBy.glob)} (${heldBy.mode})${until}: ${printable(heldBy.reason)}`
}

async function conflicts(context: Context, branches: string[]): Promise<void> {
  const { terminal } = context
  const found = await foreseen(context, branches)
  terminal.answer(found, () => {
    const lines = conflictLines(found)
    const over = `${found.pairs} pairs of ${found.sides.length} lines of work in ${Math.round(found.tookMs)} ms`
    return [...(lines.length === 0 ? ["nothing would conflict"] : lines), `(${over})`].join("\n")
  })
}

/** As leases name it, a folder that is there with a slash at its end; where the caller stands in no repository, as it was written. */
async function fromTop({ options }: Context, path: string): Promise<string> {
  const [{ findRepository }, { repositoryPath }] = await Promise.all([import("../repo/instance.ts"), import("../repo/path.ts")])
  const from = options.repo ?? process.cwd()
  const repository = await findRepository(from).catch(() => null)
  const top = repository?.top ?? null
  if (top === null) return path
  const found = repositoryPath(top, from, path)
  return path.endsWith("/") || statSync(join(top, found), { throwIfNoEntry: false })?.isDirectory() === true ? `${found}/` : found
}
