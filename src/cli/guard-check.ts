import { readFileSync } from "node:fs"
import { join } from "node:path"
import { type HttpClient, httpClient } from "../client/http.ts"
import { instant } from "../core/instant.ts"
import { readRegular } from "../client/regular-file.ts"
import { PATH_MAX } from "../core/glob.ts"
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

/**
 * What the guard's `reference-transaction` hook runs, with git's lines on standard input: 0 lets the update of the refs pass, `REFUSED` stops it. Where there
 * is no hub, or it does not answer, the update passes; an agent is told so by one line. Where there is one and git cannot tell what changes, it is stopped as
 * a change of a held file is. Loads little, since every commit waits for it.
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
  let hub: HttpClient | null = null
  try {
    const paths = new Map((await changedPaths({ updates, cwd: process.cwd(), commonDir })).map((path) => [inContract(path), path]))
    if (paths.size === 0) return 0
    if (url === undefined) return unchecked("no hub is running")
    if (changer.file === null) return unchecked("SKEIN_TOKEN_FILE cannot be read")
    const workspace = process.env["SKEIN_WORKSPACE"]
    hub = httpClient({ url, credentialFile: changer.file, timeoutMs: HUB_MS, ...(workspace === undefined ? {} : { workspace }) })
    const checked: { paths: Checked["paths"][number][]; claimed: readonly string[] } = { paths: [], claimed: [] }
    for (const asked of portions(paths.keys())) {
      const answer = await hub.call("files.check", { paths: asked, write: true })
      checked.paths.push(...answer.paths.map((found) => ({ ...found, path: paths.get(found.path) ?? found.path })))
      checked.claimed = answer.claimed
    }
    const fault = (why: string): void => say([`skein: warning: whether a task must be claimed was not looked at: ${why}`])
    const requireClaim = isAgent && checked.claimed.length === 0 && (await requiresClaim(directory, fault))
    return decide(judge({ checked, changer: changer.as, requireClaim, nowMs: Date.now(), moment: isAgent ? instant : showTime }))
  } catch (error) {
    if (error instanceof RepositoryError && url !== undefined) return decide(unseen(changer.as, error.message))
    return unchecked(error instanceof Error ? error.message : String(error))
  } finally {
    hub?.close()
  }
}

/** The agent that stands here, or the person: asked about with the operator's credential. Null where nothing is to be said whoever it is. */
function whoChanges(instance: Instance): { as: Changer; file: string | null } | null {
  const identity = agentIdentity({ instance, env: process.env, fallback: null, cwd: process.cwd() })
  if (identity !== null) return { as: { agent: identity.agent }, file: identity.file }
  if ((process.env["SKEIN_TOKEN_FILE"] ?? "") !== "") return { as: { agent: "" }, file: null }
  const people = peopleOf(instance)
  return people === "ignore" ? null : { as: { people }, file: join(instance.directory, "operator.credential") }
}

function peopleOf({ directory }: Instance): "warn" | "refuse" | "ignore" {
  try {
    const { people } = JSON.parse(readRegular(join(directory, "hooks", "guard.json"))) as { people?: unknown }
    return people === "refuse" || people === "ignore" ? people : "warn"
  } catch {
    return "warn"
  }
}

/**
 * What the contract takes for a path of the machine (`\x`, `C:/x`), for too long, or for none, since a tree can be made that names `..`, is asked about as one
 * that the same wildcards and folders cover: one that is refused would keep all others from being looked at.
 */
function inContract(path: string): string {
  return path
    .replace(/^(?:\\|[A-Za-z](?=:[/\\]))/, "\ufffd")
    .slice(0, PATH_MAX)
    .replace(/\/$/, "")
    .replaceAll(/(?<=^|\/)\.{0,2}(?=\/|$)/g, "\ufffd")
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
