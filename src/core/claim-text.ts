import type { Claimed } from "./answer.ts"
import { listJson, recordJson, textJson } from "./json-text.ts"
import type { TaskView } from "./view.ts"

/**
 * The JSON of claims, character for character that of `JSON.stringify`: every claim is answered with one, and written out it takes a third of the
 * instructions (12,000 of 32,000), which were a fifth of the whole claim.
 */
export function claimsText(claims: readonly Claimed[]): string {
  const [first] = claims
  return claims.length === 1 && first !== undefined ? `[${claimText(first)}]` : `[${claims.map(claimText).join(",")}]`
}

function claimText({ fence, leaseEndsAtMs, leaseMs, task }: Claimed): string {
  return `{"fence":${fence},"leaseEndsAtMs":${leaseEndsAtMs},"leaseMs":${leaseMs},"task":${viewText(task)}}`
}

// One text for what a task asks for, one for where it stands, one for what is seldom there: a longer one is slower to put together.
function viewText(view: TaskView): string {
  return `{${specText(view)},${standText(view)},${rareText(view)},${historyText(view)}}`
}

function specText(s: TaskView): string {
  const is = `"title":${textJson(s.title)},"body":${textJson(s.body)},"priority":"${s.priority}","dependsOn":${listJson(s.dependsOn)}`
  const asks = `"requires":${recordJson(s.requires)},"budgetMicroUsd":${s.budgetMicroUsd},"touches":${listJson(s.touches)},${runText(s)}`
  return `${is},${asks},"estimateMs":${s.estimateMs},${wishText(s)},"leaseMs":${s.leaseMs},"maxAttempts":${s.maxAttempts},"labels":${listJson(s.labels)}`
}

// What most tasks leave as it is, is one text.

function runText({ run, env }: TaskView): string {
  const envText = recordJson(env)
  return run === null && envText === "{}" ? '"run":null,"env":{}' : `"run":${recordJson(run)},"env":${envText}`
}

function wishText(s: TaskView): string {
  const isPlain = s.prefers === null && s.model === null && s.account === null && s.gates.length === 0 && !s.filler && !s.review
  return isPlain
    ? '"prefers":null,"model":null,"account":null,"gates":[],"filler":false,"review":false'
    : `"prefers":${textJson(s.prefers)},"model":${textJson(s.model)},"account":${textJson(s.account)},"gates":${listJson(s.gates)},"filler":${s.filler},"review":${s.review}`
}

function standText(t: TaskView): string {
  return `"id":${textJson(t.id)},"plan":${textJson(t.plan)},"addedSeq":${t.addedSeq},"addedAtMs":${t.addedAtMs},"lastSeq":${t.lastSeq},"status":"${t.status}","owner":${textJson(t.owner)},"session":${textJson(t.session)},"fence":${t.fence},"leaseEndsAtMs":${t.leaseEndsAtMs},"attempts":${t.attempts},"progress":${t.progress}`
}

function rareText(t: TaskView): string {
  const { costMicroUsd, inputTokens, outputTokens } = t.usage
  const isNew = t.note === null && t.blockedOn === null && t.helpWanted === null && t.deliverable === null && t.reason === null
  if (isNew && costMicroUsd === 0 && inputTokens === 0 && outputTokens === 0) return UNTOUCHED
  const usage = `{"costMicroUsd":${costMicroUsd},"inputTokens":${inputTokens},"outputTokens":${outputTokens}}`
  return `"note":${textJson(t.note)},"blockedOn":${recordJson(t.blockedOn)},"helpWanted":${recordJson(t.helpWanted)},"deliverable":${recordJson(t.deliverable)},"usage":${usage},"reason":${textJson(t.reason)}`
}

const UNTOUCHED = '"note":null,"blockedOn":null,"helpWanted":null,"deliverable":null,"usage":{"costMicroUsd":0,"inputTokens":0,"outputTokens":0},"reason":null'

function historyText(t: TaskView): string {
  return `"stale":${textJson(t.stale)},"claimedAtMs":${t.claimedAtMs},"updatedAtMs":${t.updatedAtMs},"closedAtMs":${t.closedAtMs},"state":"${t.state}","pathMs":${t.pathMs},"history":${listJson(t.history)}`
}
