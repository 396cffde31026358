import * as z from "zod"
import { GLOB_MAX, PATH_MAX } from "../core/glob.ts"
import { operation } from "./operation.ts"
import { fence, leaseId, name, reason, seq, sessionId, taskId, timeMs } from "./schema.ts"
import { done } from "./task.ts"

const mode = z.enum(["exclusive", "shared"])
/** Read by the core, which names the place where it is no glob; longer than a glob may be, so that it can say that too. */
const globText = z.string().max(4 * GLOB_MAX)
const globs = z.array(globText).min(1).max(64)
const holder = {
  agent: name,
  session: sessionId.nullable(),
  mode,
  lease: leaseId.nullable(),
  task: taskId.nullable(),
  endsAtMs: timeMs.nullable(),
  reason: z.string(),
}
const reserved = done.extend({ lease: leaseId, fence, endsAtMs: timeMs })
const DIALECT =
  "A glob is relative to the repository's top: `*` and `?` within a segment, `[a-z]`, `{a,b}`, and `**` as a whole segment for any number of them; what is special is itself in a class, `[[]`."

export const filesOperations = {
  "files.reserve": operation({
    least: "worker",
    summary: "Reserve files by globs, all of them or none.",
    text: `${DIALECT} Two globs that can match one path conflict, whether or not the path exists; an agent never conflicts with itself. \`shared\` stands beside other agents' \`shared\`. \`files_conflict\` names in \`details.conflicts\` who holds what, an example of a path, and until when. The lease lasts \`ttlMs\` (1 s to 1 h) from the last sign of life of the caller's session, ends with the session, and with \`task\` goes when the caller lets go of that task. The same request again renews it.`,
    errors: ["files_conflict", "invalid_glob", "outside_repository", "not_found", "wrong_status", "stale_fence", "not_owner", "at_limit", "retired"],
    input: z.strictObject({
      globs,
      mode: mode.default("exclusive"),
      ttlMs: z.int().min(1_000).max(3_600_000).default(900_000),
      reason: reason.default("reserved"),
      task: taskId.nullable().default(null),
      fence: fence.nullable().default(null),
    }),
    output: reserved,
  }),
  "files.release": operation({
    least: "worker",
    summary: "Release a lease on files, or some globs of it.",
    text: "Without `lease`: of all that the caller's agent holds by leases. Without `globs`: all of them. Globs are named as they were reserved. The files that a held task touches go with the task and not before. The operator may release any agent's lease by its id.",
    errors: ["not_found", "not_owner"],
    input: z.strictObject({ lease: leaseId.nullable().default(null), globs: globs.nullable().default(null), reason: reason.default("released") }),
    output: done.extend({ released: z.array(leaseId), globs: z.array(z.string()) }),
  }),
  "files.renew": operation({
    least: "worker",
    summary: "Renew a lease on files, and take it over into the caller's session.",
    text: "Seldom needed: whatever the session does renews what it holds. An agent that came back in a new session takes its own leases along with this.",
    errors: ["not_found", "not_owner", "stale_fence", "retired"],
    input: z.strictObject({ lease: leaseId }),
    output: reserved,
  }),
  "files.list": operation({
    least: "observer",
    summary: "Who holds which files.",
    text: "Leases, and tasks that are held and touch files (`lease` is null), oldest first by `fence`. With `path`: what covers that path, or with a slash at its end what lies in that folder. Pass the answer's `cursor` on for the next page.",
    errors: ["invalid", "outside_repository"],
    input: z.strictObject({
      agent: name.nullable().default(null),
      path: z
        .string()
        .max(2 * PATH_MAX)
        .nullable()
        .default(null),
      limit: z.int().min(1).max(1_000).default(200),
      cursor: seq.nullable().default(null),
    }),
    output: z.object({ holdings: z.array(z.object({ ...holder, globs: z.array(z.string()), fence, sinceMs: timeMs })), cursor: seq.nullable(), seq }),
  }),
  "files.conflicts": operation({
    least: "observer",
    summary: "Which agents' work would conflict if it were merged now.",
    text: "Every worktree that belongs to an agent is merged with every other in memory, with what is not committed yet; nothing is changed. `known` is false, and `why` says the reason, where the hub has no repository beside it or git cannot tell. A look is kept for 10 s, and never recorded; `atMs`: when it was.",
    errors: [],
    input: z.strictObject({}),
    output: z.object({
      known: z.boolean(),
      conflicts: z.array(z.object({ a: name, b: name, files: z.array(z.string()) })),
      atMs: timeMs.nullable(),
      why: z.string().nullable(),
    }),
  }),
  "files.check": operation({
    least: "observer",
    summary: "Whether the caller may edit these files right now.",
    text: "A path with a slash at its end stands for all that is or may be in that folder. For each path `heldBy` names another agent that stands against it, and `mine` says whether the caller's own agent holds it. Files that others hold `shared` may be edited by whoever holds them too. With `write` false nothing is denied: reading needs no lease. `claimed` lists the tasks that the caller's agent works on.",
    errors: ["invalid", "outside_repository"],
    input: z.strictObject({
      paths: z
        .array(z.string().max(2 * PATH_MAX))
        .min(1)
        .max(1_000),
      write: z.boolean().default(true),
    }),
    output: z.object({
      allowed: z.boolean(),
      paths: z.array(z.object({ path: z.string(), allowed: z.boolean(), heldBy: z.object({ ...holder, glob: z.string() }).nullable(), mine: z.boolean() })),
      claimed: z.array(taskId),
      seq,
    }),
  }),
}
