import type { Command } from "commander"
import { SkeinError } from "../contract/errors.ts"
import { act, examples, oneOf, type Context } from "./context.ts"
import { asDirector } from "./director.ts"
import { showTime } from "./local-time.ts"
import { renderTable } from "./table.ts"

const STATUSES = ["live", "lost", "ended"] as const

/** `skein session`: runs of agents. */
export function register(program: Command): void {
  const session = program.command("session").description("Sessions: each is one run of an agent.")
  session
    .command("start")
    .description("Register a run of an agent. Without --owned nothing beats for it: it is never declared lost, and its leases last 15 minutes.")
    .option("--agent <name>", "of this agent (default: your own)")
    .option("--runtime <name>", "how it runs", "script")
    .option("--resume-id <id>", "the agent's own id of its conversation")
    .option("--owned", "you will beat for it: skein session beat, every 15 s")
    .addHelpText("after", examples(["skein session start --agent goose --json | jq -r .session", "the session's id"]))
    .action(
      act(async (context: Context, { agent, runtime, resumeId, owned = false }: { agent?: string; runtime: string; resumeId?: string; owned?: boolean }) => {
        const hub = await context.hub()
        const answer = await asDirector(context, () => hub.call("session.start", { agent: agent ?? null, runtime, resumeId: resumeId ?? null, owned }))
        context.terminal.answer(answer, `session ${answer.session} of ${answer.agent}`)
      }),
    )
  session
    .command("end <session>")
    .description("End a session: its leases end with it.")
    .option("--reason <text>", "why", "ended")
    .addHelpText("after", examples(["skein session end s_01abc", "its tasks are open again"]))
    .action(
      act(async (context: Context, id: string, { reason }: { reason: string }) => {
        const answer = await (await context.hub()).call("session.end", { session: id, reason })
        context.terminal.answer({ session: id, ...answer }, `session ${id} has ended (entry ${answer.seq})`)
      }),
    )
  session
    .command("beat <session...>")
    .description("A sign of life of your own sessions: their leases are renewed.")
    .addHelpText("after", examples(["skein session beat s_01abc", "from whatever keeps the agent running, every 15 s"]))
    .action(
      act(async (context: Context, ids: string[]) => {
        const { heard } = await (await context.hub()).call("session.beat", { sessions: ids })
        context.terminal.answer({ heard }, `heard of ${heard.length} of ${ids.length}`)
        const unheard = ids.filter((id) => !heard.includes(id))
        if (unheard.length === 0) return
        const remedy = "skein session list --status live shows those that live; skein session start begins another."
        throw new SkeinError("not_found", `you have no session ${unheard.join(", ")} that could beat`, remedy, { unheard })
      }),
    )
  session
    .command("list")
    .description("List sessions, the latest first.")
    .option("--agent <name>", "of this agent")
    .option("--status <word>", STATUSES.join(", "), oneOf(STATUSES))
    .addHelpText("after", examples(["skein session list --status live", "who runs now"]))
    .action(act(listSessions))
}

async function listSessions(context: Context, { agent, status }: { agent?: string; status?: (typeof STATUSES)[number] }): Promise<void> {
  const { terminal } = context
  const { sessions } = await (await context.hub()).call("session.list", { agent: agent ?? null, status: status ?? null, limit: 1_000 })
  for (const session of sessions) terminal.record(session)
  if (terminal.json) return
  const rows = sessions.map(({ id, agent: of, status: now, active, runtime, startedAtMs, lastBeatMs, reason }) => [
    id,
    of,
    active ? "active" : now,
    runtime,
    // The time of day, or the day alone: all stand in a narrow terminal.
    showTime(startedAtMs).slice(0, 10),
    reason ?? (lastBeatMs === null ? "" : showTime(lastBeatMs)),
  ])
  const columns = [
    { head: "session" },
    { head: "agent", max: 40 },
    { head: "status" },
    { head: "runtime", max: 20 },
    { head: "started" },
    { head: "last", max: 50 },
  ]
  terminal.print(sessions.length === 0 ? "there are no such sessions" : renderTable(terminal, columns, rows))
}
