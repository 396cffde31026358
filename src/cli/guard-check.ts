import { readFileSync } from "node:fs"
import { join } from "node:path"
import { type HttpClient, httpClient } from "../client/http.ts"
import { instant } from "../core/instant.ts"
import { readRegular } from "../client/regular-file.ts"
import { type ErrorCode, SkeinError } from "../contract/errors.ts"
import { askablePath } from "../repo/askable-path.ts"
import { changedPaths, parseUpdates } from "../repo/guard-changes.ts"
import { REFUSED } from "../repo/guard-script.ts"
import { RepositoryError } from "../repo/git.ts"
import { type Changer, type Checked, judge, unseen, type Verdict } from "../repo/guard-verdict.ts"
import { agentIdentity } from "./agent-identity.ts"
import { requiresClaim } from "./claim-rule.ts"
import { type Instance, readHubFile } from "./instance.ts"
import { showTime } from "./local-time.ts"
import { printable } from "./printable.ts"

/** How long a commit waits for a hub that says nothing before it goes on unchecked: each question has that long, and the first without an answer is the last. */
const HUB_MS = 1_000
/** What one question may hold: paths that the hub answers for in an instant, in half of the bytes that it takes. */
const PATHS_AT_ONCE = 250
const BYTES_AT_ONCE = 128 * 1024

/** How the hub says that it does not know who asks: unlike one that is away, it goes on saying so. */
const UNKNOWN_CALLER: ReadonlySet<ErrorCode> = new Set<ErrorCode>([
  "unauthenticated",
  "token_expired",
  "foreign_workspace",
  "retired",
  "forbidden",
  "not_found",
])
const UNKNOWN = {
  why: "the hub does not say who holds the files that this changes",
  note: "you are asked about with this instance's operator.credential, in the workspace that SKEIN_WORKSPACE names.",
  remedy:
    "have SKEIN_TOKEN_FILE name a credential of this hub (skein agent credential NAME writes one), and SKEIN_WORKSPACE its workspace; whoever is no agent unsets both.",
}
const UNREADABLE = {
  why: "git cannot tell which files this changes, so that nobody knows who holds them",
  note: "look what is wrong with the repository: git fsck",
  remedy: "have git fsck say what is wrong with the repository, mend it (git fetch brings objects that are missing), and do it again.",
}

/**
 * What the guard's `reference-transaction` hook runs, with git's lines on standard input: 0 lets the update of the refs pass, `REFUSED` stops it. Where there
 * is no hub, or it does not answer, the update passes; an agent is told so by one line. Where there is one, and git cannot tell what changes, or the hub does
 * not know who asks, it is stopped as a change of a held file is. Loads little, since every commit waits for it.
 */
export async function guardCheck(commonDir: string, directory: string): Promise<number> {
  const updates = parseUpdates(readFileSync(0, "utf8"))
  const instance: Instance = { directory, repository: commonDir }
  const changer = whoChanges(instance)
  if (changer === null) return 0
  const isAgent = "agent" in changer.as
  const url = readHubFile(instance)?.url ?? process.env["SKEIN_URL"]
  const unchecked = (why: string): number => {
    if (isAgent) say([`skein: warning: not checked against what others hold, and let through: ${why}`])
    return 0
  }
  const decide = ({ passes, lines }: Verdict): number => {
    say(lines)
    return passes ? 0 : REFUSED
  }
  const stuck = (what: typeof UNKNOWN, why: string): number => decide(unseen(changer.as, { ...what, why: `${what.why}: ${why}` }))
  let hub: HttpClient | null = null
  try {
    const paths = new Map((await changedPaths({ updates, cwd: process.cwd(), commonDir })).map((path) => [askablePath(path), path]))
    if (paths.size === 0) return 0
    if (url === undefined) return unchecked("no hub is running")
    const workspace = process.env["SKEIN_WORKSPACE"]
    const credentialFile = changer.file ?? join(directory, "operator.credential")
    hub = httpClient({ url, credentialFile, timeoutMs: HUB_MS, ...(workspace === undefined ? {} : { workspace }) })
    const { checked, failure } = await ask(hub, paths)
    if (isAgent && changer.file === null && failure === null) return stuck(UNKNOWN, "SKEIN_TOKEN_FILE names no file that holds a credential or token")
    const fault = (why: string): void => say([`skein: warning: whether a task must be claimed was not looked at: ${why}`])
    const requireClaim = failure === null && isAgent && checked.claimed.length === 0 && (await requiresClaim(directory, fault))
    const verdict = judge({ checked, changer: changer.as, requireClaim, nowMs: Date.now(), moment: isAgent ? instant : showTime })
    // What is known to be held stays so, whatever the hub would have said of the rest.
    if (failure !== null && verdict.lines.length === 0) throw failure
    return decide(verdict)
  } catch (error) {
    if (error instanceof SkeinError && UNKNOWN_CALLER.has(error.code)) return stuck(UNKNOWN, error.message)
    if (error instanceof RepositoryError && url !== undefined) return stuck(UNREADABLE, error.message)
    return unchecked(error instanceof Error ? error.message : String(error))
  } finally {
    hub?.close()
  }
}

/** What the hub says of the files, up to the question that it does not answer. */
async function ask(hub: HttpClient, paths: ReadonlyMap<string, string>): Promise<{ checked: Checked; failure: Error | null }> {
  const checked: { paths: Checked["paths"][number][]; claimed: readonly string[] } = { paths: [], claimed: [] }
  try {
    for (const asked of portions(paths.keys())) {
      const answer = await hub.call("files.check", { paths: asked, write: true })
      checked.paths.push(...answer.paths.map((found) => ({ ...found, path: paths.get(found.path) ?? found.path })))
      checked.claimed = answer.claimed
    }
  } catch (error) {
    return { checked, failure: error instanceof Error ? error : new Error(String(error)) }
  }
  return { checked, failure: null }
}

/**
 * The agent that stands here, or the person: asked about with the operator's credential (`file` null), as is an agent whose own cannot be read, to learn whether
 * there is a hub at all. Null where nothing is to be said whoever it is.
 */
function whoChanges(instance: Instance): { as: Changer; file: string | null } | null {
  const { env } = process
  const standing = (cwd: string) => agentIdentity({ instance, env, fallback: null, cwd })
  // Git may be called from outside of the worktree that it works on.
  const identity = standing(process.cwd()) ?? standing(env["GIT_DIR"] ?? ".")
  if (identity !== null) return { as: { agent: identity.agent }, file: identity.file }
  if ((env["SKEIN_TOKEN_FILE"] ?? "") !== "") return { as: { agent: "" }, file: null }
  const people = peopleOf(instance)
  return people === "ignore" ? null : { as: { people }, file: null }
}

function peopleOf({ directory }: Instance): "warn" | "refuse" | "ignore" {
  try {
    const { people } = JSON.parse(readRegular(join(directory, "hooks", "guard.json"))) as { people?: unknown }
    return people === "refuse" || people === "ignore" ? people : "warn"
  } catch {
    return "warn"
  }
}

function* portions(paths: Iterable<string>): Generator<string[]> {
  let portion: string[] = []
  let bytes = 0
  for (const path of paths) {
    const own = Buffer.byteLength(JSON.stringify(path))
    if (portion.length > 0 && (portion.length === PATHS_AT_ONCE || bytes + own > BYTES_AT_ONCE)) {
      yield portion
      portion = []
      bytes = 0
    }
    portion.push(path)
    bytes += own
  }
  if (portion.length > 0) yield portion
}

function say(lines: readonly string[]): void {
  if (lines.length > 0) process.stderr.write(`${lines.map(printable).join("\n")}\n`)
}
