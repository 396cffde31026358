import { processTable } from "../process-table.ts"

/** What tmux knows of a pane, at one moment. */
export type Pane = {
  pane: string
  /** The process that tmux started in it; also its process group and session. */
  pid: number
  /** The tmux server's own process. */
  server: number
  dead: boolean
  /** Null while it runs, when a signal ended it, and as long as tmux has not asked. */
  exit: number | null
  signalled: boolean
  /** Copy mode, a chooser: keys go to tmux, not to the agent. */
  inMode: boolean
  cursorX: number
  cursorY: number
  tty: string
  command: string
  session: string
  agent: string
  preset: string
  conversation: string | null
  /** It was begun anew to be told something first, and no Enter of ours has reached it yet. */
  untold: boolean
}

/** The option of a pane that says so. */
export const UNTOLD = "@skein_untold"

const FIELDS = [
  "pane_id",
  "pane_pid",
  "pid",
  "pane_dead",
  "pane_dead_status",
  "pane_dead_signal",
  "pane_in_mode",
  "cursor_x",
  "cursor_y",
  "pane_tty",
  "pane_current_command",
  "session_name",
  "@skein_agent",
  "@skein_preset",
  "@skein_session",
  UNTOLD,
]

const BETWEEN = "|"
/** The command's name is the pane's own choice, so it comes last. */
const ORDER = [...FIELDS.filter((field) => field !== "pane_current_command"), "pane_current_command"]
export const PANE_FORMAT = ORDER.map((field) => `#{${field}}`).join(BETWEEN)

export function readPane(line: string): Pane | null {
  const words = line.split(BETWEEN)
  const fields = new Map(ORDER.map((field, at) => [field, at === ORDER.length - 1 ? words.slice(at).join(BETWEEN) : (words[at] ?? "")]))
  const field = (name: string): string => fields.get(name) ?? ""
  if (!/^%\d+$/.test(field("pane_id")) || !/^[1-9]\d{0,9}$/.test(field("pane_pid"))) return null
  return {
    pane: field("pane_id"),
    pid: Number(field("pane_pid")),
    server: Number(field("pid")),
    dead: field("pane_dead") === "1",
    exit: field("pane_dead_status") === "" ? null : Number(field("pane_dead_status")),
    signalled: field("pane_dead_signal") !== "",
    inMode: field("pane_in_mode") !== "0",
    cursorX: Number(field("cursor_x")),
    cursorY: Number(field("cursor_y")),
    tty: field("pane_tty"),
    command: field("pane_current_command"),
    session: field("session_name"),
    agent: field("@skein_agent"),
    preset: field("@skein_preset"),
    conversation: field("@skein_session") === "" ? null : field("@skein_session"),
    untold: field(UNTOLD) !== "",
  }
}

const SHELLS = new Set(["sh", "ash", "bash", "dash", "zsh", "fish", "ksh", "mksh", "csh", "tcsh", "nu", "elvish", "xonsh", "pwsh", "busybox"])

const isShell = (name: string): boolean => SHELLS.has(name.replace(/^-/, "").split("/").at(-1) ?? "")

/**
 * Whether the keyboard of the pane leads to a shell and to nothing else: the agent has died and left a prompt, where a text would be a command.
 * The group in the foreground may hold a shell that waits for the agent which it started; then the agent is in it too.
 */
export async function leftAtShell(pane: Pane): Promise<boolean> {
  if (!isShell(pane.command)) return false
  const all = await processTable()
  const front = all.find(({ pid }) => pid === pane.pid)?.foreground
  return all.filter(({ group, zombie }) => group === front && !zombie).every(({ name }) => isShell(name))
}

/** The processes that a pane's agent has started and that have stayed in its group or session, and itself: those that have not ended. */
export async function membersOf(pid: number): Promise<number[]> {
  return (await processTable()).filter((one) => (one.group === pid || one.session === pid) && !one.zombie).map((one) => one.pid)
}

/**
 * Has the server ask how its children ended. tmux up to 3.3a misses the end of a child that comes while it writes utmp, which it does as a terminal closes:
 * libutempter ignores SIGCHLD for that moment. The child stays a zombie, and its pane without a status, until another SIGCHLD; later versions send themselves one.
 */
export function reap({ server }: Pick<Pane, "server">): void {
  try {
    if (server > 1) process.kill(server, "SIGCHLD")
  } catch {
    // The server has ended, and its children are the system's.
  }
}
