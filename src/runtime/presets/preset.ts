/**
 * How a kind of agent is started, resumed, run headless, and recognised on a terminal: data. A user adds one in the instance's config.
 * Command lines are lists of words and never seen by a shell. In a word, `{session}` stands for the agent's id of a conversation, `{prompt}` for a text,
 * `{url}` for where the agent is served, `{cwd}` for its folder.
 */
export type AgentPreset = {
  /** The name it goes by: an agent kind, or the user's own. */
  name: string
  interactive: CommandLines
  /** How its terminal looks. */
  screen: ScreenFacts
  headless: HeadlessFacts | null
  /** How it is started to speak the Agent Client Protocol on its standard streams; null where it cannot. `tellsUsage`: so its own hooks need not. */
  acp: { argv: CommandLine; resumes: boolean; tellsUsage?: boolean } | null
  native: NativeInbox | null
  /** A second process, headless and in a conversation of its own, may run beside the live one whose terminal was not free for `deferMs`; absent: it may not. */
  beside?: boolean
}

export type CommandLine = readonly [string, ...string[]]

export type CommandLines = {
  start: CommandLine
  /** Null: it cannot go on with an earlier conversation. */
  resume: CommandLine | null
  /** How a new conversation is given an id of our choice: further words; null where the agent draws it. */
  chooseSession: readonly string[] | null
}

export type ScreenFacts = {
  /** Regular expressions for the visible text, lines joined by LF, flags `mu`. One that matches says that it takes input. */
  ready: readonly string[]
  /** One that matches says that it asks something: nothing may be typed. */
  menus: readonly string[]
  /** One that matches says that its account is used up. */
  exhausted: readonly string[]
  /**
   * Matches (flag `u`) what stands before the cursor in its row while the input is empty: a prompt and nothing else. Null: not known; then no draft is
   * recognised, and Enter is not repeated.
   */
  emptyInput: string | null
  /** It turns on bracketed paste: a text keeps its lines. Else they are joined by spaces, since each end of a line would send what it has. */
  bracketedPaste: boolean
  /** Milliseconds between the paste and Enter: a key that comes too soon is taken as part of the paste. */
  enterAfterMs: number
  /** How long it may take until it is ready, in milliseconds. */
  readyWithinMs: number
}

export type HeadlessFacts = {
  start: CommandLine
  resume: CommandLine | null
  chooseSession: readonly string[] | null
  /** Where the prompt goes: standard input, but where the agent reads only an argument. */
  promptBy: "stdin" | "argument"
  /** Paths of fields in its lines of JSON that hold the id of the conversation; the first found counts. */
  sessionFields: readonly (readonly string[])[]
  /** Exit status that says that it does not know the conversation, and what it then writes (a regular expression, flags `iu`). */
  unknownSession: { exit: number; says: string }
}

/** A way to put text before an agent that is running, without its terminal. */
export type NativeInbox =
  /** Its own hook waits at the hub (`skein hook claude rewake`): the hub's message is enough. */
  | { way: "hook" }
  /** A command that hands it over; `{session}` and `{prompt}` are replaced. */
  | { way: "command"; argv: CommandLine }
  /** POST to the agent's own server. */
  | { way: "opencode-http" }

/** The words of a command line with its places filled in. A place inside of a word keeps what is around it; what is put in is never split. */
export function commandLine(words: CommandLine, places: Readonly<Record<string, string>>): [string, ...string[]] {
  const [first, ...rest] = words.map((word) => word.replace(/\{(session|prompt|url|cwd)\}/g, (whole, name: string) => places[name] ?? whole))
  if (first === undefined) throw new RangeError("a command line has at least one word")
  return [first, ...rest]
}
