import type { Command } from "commander"

/** A verb of the command line: what the manual says of it, and where its code is. Only the verb that was asked for is ever loaded. */
export type Verb = { name: string; summary: string; load: () => Promise<{ register(program: Command): void }> }

/** Every verb, in the groups and the order of the manual. */
export const VERBS: readonly { group: string; verbs: readonly Verb[] }[] = [
  {
    group: "The hub",
    verbs: [
      { name: "up", summary: "start the hub of this repository", load: () => import("./up.ts") },
      { name: "down", summary: "stop it", load: () => import("./down.ts") },
      { name: "status", summary: "show where everything stands (--follow: live)", load: () => import("./status.ts") },
      { name: "dash", summary: "open the page: the whole flight, live", load: () => import("./dash.ts") },
      { name: "doctor", summary: "find what is wrong, and say what to do about it", load: () => import("./doctor.ts") },
      { name: "workspace", summary: "list | create", load: () => import("./workspace.ts") },
      { name: "completion", summary: "bash | zsh | fish: have a shell complete command lines", load: () => import("./completion.ts") },
    ],
  },
  {
    group: "Plans and tasks",
    verbs: [
      { name: "run", summary: "take a plan to its end with a team of agents", load: () => import("./run.ts") },
      { name: "simulate", summary: "see what a plan would take and cost, and how many agents are worth paying for", load: () => import("./simulate.ts") },
      { name: "plan", summary: "check | add | list | show | cancel", load: () => import("./plan.ts") },
      {
        name: "task",
        summary: "add | list | show | claim | next | update | block | unblock | complete | fail | release | review | edit | reset | cancel",
        load: () => import("./task.ts"),
      },
      { name: "why-assigned", summary: "say who got a task, and why", load: () => import("./why-assigned.ts") },
      { name: "lease", summary: "end: take a task from its holder", load: () => import("./lease.ts") },
      { name: "files", summary: "reserve | release | renew | list | check | conflicts: who may edit what", load: () => import("./files.ts") },
      { name: "board", summary: "show the tasks by where they stand (--md: as Markdown)", load: () => import("./board.ts") },
      { name: "export", summary: "keep plain files of the state for other tools", load: () => import("./export.ts") },
    ],
  },
  {
    group: "Agents",
    verbs: [
      { name: "init", summary: "plug the coding agents of this machine into the repository (--undo: take it back)", load: () => import("./init.ts") },
      {
        name: "agent",
        summary: "add | list | show | manifest | edit | retire | credential | revoke | attach | pause | resume | stop | logs",
        load: () => import("./agent.ts"),
      },
      { name: "swarm", summary: "spawn: have the supervisor run a team of agents", load: () => import("./swarm.ts") },
      { name: "supervisor", summary: "run agents and wake them, in this terminal", load: () => import("./supervisor.ts") },
      { name: "session", summary: "start | end | list | beat", load: () => import("./session.ts") },
      { name: "prime", summary: "print the briefing that an agent begins with", load: () => import("./prime.ts") },
      { name: "mcp", summary: "serve MCP on stdio, as an agent's settings start it", load: () => import("./mcp.ts") },
      { name: "guard", summary: "install | remove | status: no commit changes a file that another agent holds", load: () => import("./guard.ts") },
      { name: "token", summary: "print a token for the hub", load: () => import("./token.ts") },
      { name: "cost", summary: "what the agents' model calls took (--follow: live; report | refund: by hand)", load: () => import("./cost.ts") },
      { name: "budget", summary: "set | show | top-up: limits that no claim goes beyond", load: () => import("./budget.ts") },
      { name: "breaker", summary: "list | trip | reset | policy: what fails is left alone for a while", load: () => import("./breaker.ts") },
      { name: "policy", summary: "show | set | check | test | log: rules that say who may do what", load: () => import("./policy.ts") },
      { name: "assist", summary: "want | answer: ask for help with a task, and give it", load: () => import("./assist.ts") },
      {
        name: "thread",
        summary:
          "create | list | show | invite | join | leave | post | read | ack | status | summarize | search | unread | inspect | escalate | unblock | override-close",
        load: () => import("./thread.ts"),
      },
      { name: "wake", summary: "wake an agent that sleeps", load: () => import("./wake.ts") },
      { name: "trigger", summary: "list | show | why | retry | cancel | policy: who is woken, and why not yet", load: () => import("./trigger.ts") },
      { name: "permission", summary: "list | answer: what agents ask leave for", load: () => import("./permission.ts") },
      { name: "send-event", summary: "say something to an agent, a role or everyone", load: () => import("./event.ts") },
      { name: "inbox", summary: "show what waits for you", load: () => import("./event.ts") },
      { name: "hook", summary: "answer a hook of a coding agent: it calls this, not you", load: () => import("./hook.ts") },
      { name: "ack", summary: "acknowledge an event", load: () => import("./event.ts") },
    ],
  },
  {
    group: "The ledger",
    verbs: [
      { name: "ledger", summary: "tail | verify | replay | checkpoint | epochs | export | prove | check | why | backup", load: () => import("./ledger.ts") },
      { name: "witness", summary: "serve | add | status: have others vouch for the ledger", load: () => import("./witness.ts") },
    ],
  },
]

export const verbNames: readonly string[] = VERBS.flatMap(({ verbs }) => verbs.map(({ name }) => name))

/** Words for what another verb does. */
const ALSO: Readonly<Record<string, string>> = { log: "ledger tail", history: "ledger tail", explain: "ledger why", ps: "status" }
/** More verbs than these with one word under them are no answer. */
const MEANT_MAX = 4

/** What the word stands for under other verbs (`replay`: `ledger replay`), as commands. */
export function underOthers(word: string): string[] {
  const found = VERBS.flatMap(({ verbs }) => verbs).flatMap(({ name, summary }) =>
    (summary.split(":")[0] as string).split(" | ").includes(word) ? [`${name} ${word}`] : [],
  )
  const all = [...(Object.hasOwn(ALSO, word) ? [ALSO[word] as string] : []), ...found]
  return all.length > MEANT_MAX ? [] : all.map((path) => `skein ${path}`)
}

export function findVerb(name: string): Verb | undefined {
  for (const { verbs } of VERBS) for (const verb of verbs) if (verb.name === name) return verb
  return undefined
}
