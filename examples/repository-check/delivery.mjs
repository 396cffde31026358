/** What a check hands in: `deliverable.md` to be read, `evidence.json` to be relied on; and what earlier tasks handed in. */
import { mkdirSync, readFileSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { performance } from "node:perf_hooks"
import { headCommit } from "./checkout.mjs"
import { cut } from "./markdown.mjs"
import { redact } from "./secret.mjs"

/** A deliverable travels in one ledger entry, whose message bodies end at 32 KiB. */
export const DELIVERABLE_BYTES = 30_000

/** `{ [task]: { title, text, evidence } }`: what the tasks that this one depends on delivered. */
export function readInputs() {
  const path = process.env.SKEIN_INPUTS
  return path ? JSON.parse(readFileSync(path, "utf8")) : {}
}

function requireOneCommit(commit) {
  for (const [task, { evidence }] of Object.entries(readInputs())) {
    if (evidence?.commit && evidence.commit !== commit) {
      throw new Error(`task ${task} looked at commit ${evidence.commit}, this worktree is at ${commit}: one report speaks of one commit`)
    }
  }
}

// The first line of every deliverable, for people and for `report` alike: evidence has no room for these.
const HEAD = /^Verdict: (ok|findings|not applicable|not run), (\d+) findings?, (\d+(?:\.\d+)?) s, commit ([0-9a-f]+)$/

/** `{ verdict, findings, seconds, summary, body }` of a deliverable, or nothing when no check wrote it. */
export function readDeliverable(text) {
  const [head = "", summary = "", ...body] = text.trim().split("\n\n")
  const [, verdict, findings, seconds] = HEAD.exec(head) ?? []
  return verdict === undefined ? undefined : { verdict, findings: Number(findings), seconds: Number(seconds), summary, body: body.join("\n\n") }
}

/**
 * Hands in a check. `verdict` is `ok`, `findings`, `not applicable` (the repository has nothing to check) or `not run`
 * (it has, but a tool is missing or gave up); `summary` is one sentence of Markdown, `body` the rest.
 * A finding is a result, not a failure: the status is 0, so that the report is always reached. `testsPass` is true or left out,
 * since a task whose evidence says that its tests fail is not done.
 */
export function deliver({ check, verdict, findings = 0, summary, body = "", testsPass = null }) {
  const commit = headCommit()
  requireOneCommit(commit)
  const out = process.env.SKEIN_OUT || process.cwd()
  mkdirSync(out, { recursive: true })
  const sentence = redact(verdict === "not applicable" || verdict === "not run" ? `${verdict}: ${summary}` : summary)
  const head = `Verdict: ${verdict}, ${findings} ${findings === 1 ? "finding" : "findings"}, ${(performance.now() / 1000).toFixed(1)} s, commit ${commit}`
  const text = cut(`${head}\n\n${sentence}\n\n${redact(body)}`.trimEnd(), DELIVERABLE_BYTES)
  writeFileSync(join(out, "deliverable.md"), `${text}\n`)
  writeFileSync(join(out, "evidence.json"), `${JSON.stringify({ testsPass, commit, links: [] })}\n`)
  process.stdout.write(`${check}: ${sentence}\n`)
}

/** Hands in that there is nothing to check, or (`not run`) that it could not be checked, and why. */
export const decline = (check, reason, verdict = "not applicable") => deliver({ check, verdict, summary: reason })
