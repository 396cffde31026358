import { acpTarget } from "./acp-target.ts"
import type { Target } from "./campaign.ts"
import { cliTarget } from "./cli-target.ts"
import { clientTarget } from "./client-target.ts"
import { configTarget } from "./config-target.ts"
import { gitTarget } from "./git-target.ts"
import { guardTarget } from "./guard-target.ts"
import { hookTarget } from "./hook-target.ts"
import { httpTarget } from "./http-target.ts"
import { keptTarget } from "./kept-target.ts"
import { ledgerTarget } from "./ledger-target.ts"
import { mcpTarget } from "./mcp-target.ts"
import { noteTarget } from "./note-target.ts"
import { pageTarget } from "./page-target.ts"
import { pastTarget } from "./past-target.ts"
import { planTarget } from "./plan-target.ts"
import { policyTarget } from "./policy-target.ts"
import { processTarget } from "./process-target.ts"
import { promptTarget } from "./prompt-target.ts"
import { saidTarget } from "./said-target.ts"
import { settingsTarget } from "./settings-target.ts"
import { shimTarget } from "./shim-target.ts"
import { snapshotTarget } from "./snapshot-target.ts"
import { websocketTarget } from "./websocket-target.ts"

/** Everything that is attacked. */
export const TARGETS: readonly Target[] = [
  httpTarget,
  websocketTarget,
  planTarget,
  configTarget,
  ledgerTarget,
  noteTarget,
  snapshotTarget,
  pastTarget,
  pageTarget,
  clientTarget,
  cliTarget,
  processTarget,
  mcpTarget,
  shimTarget,
  guardTarget,
  gitTarget,
  hookTarget,
  policyTarget,
  saidTarget,
  settingsTarget,
  promptTarget,
  acpTarget,
  keptTarget,
]
