import { DEFAULT_POLICY } from "../contract/default-policy.ts"
import { SkeinError } from "../contract/errors.ts"
import type { OperationName } from "../contract/names.ts"
import type { Output, Parsed } from "../contract/operations.ts"
import { policySchema } from "../contract/policy-schema.ts"
import { decodeEntry } from "../core/entry.ts"
import type { Seq } from "../core/ids.ts"
import { policyText } from "../core/policy-text.ts"
import type { Workspace } from "../core/workspace.ts"
import { type Cedar, loadCedar } from "../hub/cedar-library.ts"
import { askedIn } from "../hub/policy-history.ts"
import type { Judged } from "../hub/policy-log.ts"
import { checkPolicy, type Checked, PolicySet } from "../hub/policy-set.ts"
import { judgeAsked, judgeCase } from "../hub/policy-trial.ts"
import type { Context, Doers } from "./context.ts"

type Policies = Extract<OperationName, `policy.${string}`>

/** Judged without letting others wait: the hub does nothing else meanwhile. */
const AT_ONCE = 250
const DENIED_MAX = 1_000

/** Cedar, or why there is none. */
function engine(): Cedar {
  try {
    return loadCedar()
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error)
    throw new SkeinError(
      "internal",
      `the policy engine cannot be loaded: ${why}`,
      "Install Skein anew; `skein policy set --shipped --reason …` needs no engine.",
      {},
    )
  }
}

/** The policy of the workspace: shown, set, checked, tried, and what it decided. */
export const policyActions: Doers<Policies> = {
  "policy.show": async ({ loop }, { seq, shipped, schema }) => {
    const inForce = await loop.read((state) => policyText(state))
    const then = seq === null ? null : await textAt(loop, seq)
    const text = shipped ? null : seq === null ? (inForce?.text ?? null) : then
    return {
      text: text ?? DEFAULT_POLICY,
      shipped: text === null,
      history: [...(inForce?.history ?? [])],
      schema: schema ? schemaText(engine()) : null,
    }
  },

  "policy.set": async ({ loop, caller, key }, { text, reason }) => {
    if (text !== null) refuseFaulty(checkPolicy(engine(), text))
    const done = await loop.execute("policy.set", caller.actor, { text, reason }, { key })
    // It is set all the same where the hub goes down now.
    await loop.read(() => loop.policy.prepare()).catch(() => undefined)
    return done
  },

  "policy.check": (_, { text }) => {
    const { faults, warnings, rules } = checkPolicy(engine(), text)
    return Promise.resolve({ ok: faults.length === 0, faults, warnings, rules })
  },

  "policy.test": async (context, { text, cases, last }) => {
    const { loop } = context
    const cedar = engine()
    const tried = text ?? (await loop.read((state) => policyText(state)?.text ?? null)) ?? DEFAULT_POLICY
    refuseFaulty(checkPolicy(cedar, tried))
    const judged = await loop.read((state, nowMs) => {
      const set = trial(cedar, tried)
      return cases.map((one, at) => judgeCase(state, set, one, nowMs, at))
    })
    return { cases: judged, replayed: await replayed(context, cedar, tried, last) }
  },

  "policy.log": ({ loop }, { limit, decision, agent }) => {
    const { log } = loop.policy
    const decisions: Judged[] = []
    for (const one of log.newest()) {
      if ((decision !== null && one.decision !== decision) || (agent !== null && one.principal !== agent)) continue
      if (decisions.push(one) >= limit) break
    }
    return Promise.resolve({ decisions, allowed: log.counts.allowed, denied: log.counts.denied })
  },
}

/** For as long as nobody else has a turn: Cedar keeps one set under this name. */
function trial(cedar: Cedar, text: string): PolicySet {
  return new PolicySet(cedar, "trial", text)
}

/** What of the last entries would be denied now. */
async function replayed({ loop }: Context, cedar: Cedar, text: string, last: Parsed<"policy.test">["last"]): Promise<Output<"policy.test">["replayed"]> {
  if (last === 0) return { entries: 0, judged: 0, denied: [], more: false }
  const head = await loop.read((state) => state.seq)
  const from = Math.max(1, head - last + 1)
  const entries = (await loop.entries(from, head - from + 1)).map(({ bytes }) => decodeEntry(bytes))
  const asked = askedIn(entries)
  const denied: Judged[] = []
  for (let at = 0; at < asked.length; at += AT_ONCE) {
    const page = asked.slice(at, at + AT_ONCE)
    denied.push(...(await loop.read((state) => judgePage(state, cedar, text, page))))
  }
  return { entries: entries.length, judged: asked.length, denied: denied.slice(0, DENIED_MAX), more: denied.length > DENIED_MAX }
}

function judgePage(state: Workspace, cedar: Cedar, text: string, page: ReturnType<typeof askedIn>): Judged[] {
  const set = trial(cedar, text)
  return page.flatMap((one) => judgeAsked(state, set, one) ?? []).filter(({ decision }) => decision === "deny")
}

function refuseFaulty({ faults }: Checked): void {
  const [first] = faults
  if (first === undefined) return
  const place = first.line === null ? "" : ` in line ${first.line}, column ${first.column}`
  const more = faults.length === 1 ? "" : `, and ${faults.length - 1} more`
  throw new SkeinError("invalid", `the policy has a fault${place}: ${first.message}${more}`, first.remedy, { faults })
}

/** The text that an entry set; null: the shipped one. */
async function textAt(loop: Context["loop"], seq: Seq): Promise<string | null> {
  const [stored] = await loop.entries(seq, 1)
  const entry = stored === undefined ? null : decodeEntry(stored.bytes)
  if (entry?.type !== "policy.set")
    throw new SkeinError("not_found", `entry ${seq} sets no policy`, "`skein policy show --history` lists those that do.", { seq })
  return (entry.data as { text: string | null }).text
}

function schemaText(cedar: Cedar): string {
  const answer = cedar.schemaToText(policySchema())
  if (answer.type === "failure") throw new Error(answer.errors[0]?.message ?? "the schema cannot be written")
  return answer.text
}
