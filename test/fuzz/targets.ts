import type { Target } from "./campaign.ts"

/** Everything that is attacked, by its name. A target is loaded when it is its turn: all of them together take a second. */
export const TARGETS: Readonly<Record<string, () => Promise<Target>>> = {
  http: async () => (await import("./http-target.ts")).httpTarget,
  websocket: async () => (await import("./websocket-target.ts")).websocketTarget,
  plan: async () => (await import("./plan-target.ts")).planTarget,
  config: async () => (await import("./config-target.ts")).configTarget,
  ledger: async () => (await import("./ledger-target.ts")).ledgerTarget,
  note: async () => (await import("./note-target.ts")).noteTarget,
  snapshot: async () => (await import("./snapshot-target.ts")).snapshotTarget,
  past: async () => (await import("./past-target.ts")).pastTarget,
  page: async () => (await import("./page-target.ts")).pageTarget,
  client: async () => (await import("./client-target.ts")).clientTarget,
  cli: async () => (await import("./cli-target.ts")).cliTarget,
  process: async () => (await import("./process-target.ts")).processTarget,
  mcp: async () => (await import("./mcp-target.ts")).mcpTarget,
  shim: async () => (await import("./shim-target.ts")).shimTarget,
  guard: async () => (await import("./guard-target.ts")).guardTarget,
  git: async () => (await import("./git-target.ts")).gitTarget,
  hook: async () => (await import("./hook-target.ts")).hookTarget,
  policy: async () => (await import("./policy-target.ts")).policyTarget,
  said: async () => (await import("./said-target.ts")).saidTarget,
  settings: async () => (await import("./settings-target.ts")).settingsTarget,
  prompt: async () => (await import("./prompt-target.ts")).promptTarget,
  acp: async () => (await import("./acp-target.ts")).acpTarget,
  kept: async () => (await import("./kept-target.ts")).keptTarget,
  native: async () => (await import("./native-target.ts")).nativeTarget,
}
