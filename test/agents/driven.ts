import { spawn } from "node:child_process"
import { mkdirSync, writeFileSync } from "node:fs"
import { dirname, join, resolve } from "node:path"
import type { AgentKind } from "../../src/repo/agent-kinds.ts"

export type Drive = {
  kind: AgentKind
  binary: string
  /** The worktree that it works in. */
  folder: string
  /** A folder of its own for its settings: nothing of this user's is read or written. */
  home: string
  modelUrl: string
  prompt: string
  /** Where it sends its telemetry, and as whom; nowhere by default. */
  telemetry?: { url: string; credential: string }
}

export type Driven = { status: number | null; output: string }

const RUN_MAX_MS = 90_000

/** One headless run of a real agent against a model on this machine. What its user would grant by hand (trust in the folder and its hooks) is granted here. */
export async function drive(given: Drive): Promise<Driven> {
  const { args, env } = PREPARE[given.kind](given)
  mkdirSync(given.home, { recursive: true })
  const child = spawn(given.binary, args, {
    cwd: given.folder,
    // opencode believes PWD, whatever folder it was started in.
    env: { ...cleanEnvironment(), PWD: given.folder, HOME: given.home, XDG_CONFIG_HOME: join(given.home, ".config"), ...env },
    stdio: ["ignore", "pipe", "pipe"],
    // A group of its own: the agents start processes, which must not outlive a run that was cut off.
    detached: true,
  })
  let output = ""
  child.stdout.setEncoding("utf8").on("data", (text: string) => (output += text))
  child.stderr.setEncoding("utf8").on("data", (text: string) => (output += text))
  const timer = setTimeout(() => {
    output += `\n(cut off after ${RUN_MAX_MS} ms)`
    if (child.pid !== undefined) process.kill(-child.pid, "SIGKILL")
  }, RUN_MAX_MS)
  const status = await new Promise<number | null>((settle) => child.on("close", settle).on("error", () => settle(null)))
  clearTimeout(timer)
  return { status, output }
}

/** What a real agent needs to run against that model, headless or in a terminal: its settings are written, and this is its environment. */
export function environmentFor(given: Drive): Record<string, string> {
  // Some leave in the temporary folder what they share among their processes.
  const temporary = join(given.home, "tmp")
  mkdirSync(temporary, { recursive: true })
  const path = [resolve("node_modules/.bin"), process.env["PATH"] ?? ""].join(":")
  const own = { PATH: path, TMPDIR: temporary, LANG: "C.UTF-8", PWD: given.folder, HOME: given.home, XDG_CONFIG_HOME: join(given.home, ".config") }
  return { ...own, ...PREPARE[given.kind](given).env }
}

type Prepared = { args: string[]; env: Record<string, string> }

const PREPARE: Readonly<Record<AgentKind, (given: Drive) => Prepared>> = {
  claude({ folder, home, modelUrl, prompt, telemetry }) {
    write(
      join(home, ".claude.json"),
      JSON.stringify({
        hasCompletedOnboarding: true,
        customApiKeyResponses: { approved: ["loopback"], rejected: [] },
        projects: { [folder]: { hasTrustDialogAccepted: true } },
      }),
    )
    return {
      args: ["-p", prompt, "--permission-mode", "acceptEdits"],
      env: {
        CLAUDE_CONFIG_DIR: home,
        ANTHROPIC_BASE_URL: modelUrl,
        ANTHROPIC_API_KEY: "loopback",
        CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC: "1",
        DISABLE_AUTOUPDATER: "1",
        ...(telemetry === undefined ? {} : { CLAUDE_CODE_ENABLE_TELEMETRY: "1", OTEL_LOGS_EXPORTER: "otlp", ...exporting(telemetry) }),
      },
    }
  },
  codex({ folder, home, modelUrl, prompt, telemetry }) {
    const config = [
      'model = "gpt-5.5"',
      'model_provider = "loopback"',
      'approval_policy = "never"',
      // The machine of a test need not have what Codex's own sandbox is made of.
      'sandbox_mode = "danger-full-access"',
      "[model_providers.loopback]",
      'name = "loopback"',
      `base_url = ${JSON.stringify(`${modelUrl}/v1`)}`,
      'wire_api = "responses"',
      'env_key = "LOOPBACK_KEY"',
      `[projects.${JSON.stringify(folder)}]`,
      'trust_level = "trusted"',
      ...(telemetry === undefined ? [] : codexExporting(telemetry)),
    ]
    write(join(home, "config.toml"), `${config.join("\n")}\n`)
    return { args: ["exec", "--json", "--dangerously-bypass-hook-trust", prompt], env: { CODEX_HOME: home, LOOPBACK_KEY: "loopback" } }
  },
  gemini({ home, modelUrl, prompt }) {
    write(
      join(home, ".gemini", "settings.json"),
      JSON.stringify({ security: { auth: { selectedType: "gemini-api-key" } }, general: { enableAutoUpdate: false } }),
    )
    return {
      args: ["-m", "gemini-2.5-flash", "--approval-mode", "yolo", "-p", prompt],
      env: { GEMINI_API_KEY: "loopback", GOOGLE_GEMINI_BASE_URL: modelUrl, GEMINI_CLI_TRUST_WORKSPACE: "true" },
    }
  },
  opencode({ modelUrl, prompt }) {
    const model = { name: "loopback", tool_call: true, cost: { input: 3, output: 15, cache_read: 0.3 }, limit: { context: 100_000, output: 8_000 } }
    const provider = {
      npm: "@ai-sdk/openai-compatible",
      name: "loopback",
      options: { baseURL: `${modelUrl}/v1`, apiKey: "loopback" },
      models: { loopback: model },
    }
    const config = { model: "loopback/loopback", autoupdate: false, share: "disabled", provider: { loopback: provider } }
    return { args: ["run", prompt], env: { OPENCODE_CONFIG_CONTENT: JSON.stringify(config), OPENCODE_DISABLE_AUTOUPDATE: "1" } }
  },
}

/** OpenTelemetry's own variables. */
function exporting({ url, credential }: { url: string; credential: string }): Record<string, string> {
  return {
    OTEL_EXPORTER_OTLP_PROTOCOL: "http/json",
    OTEL_EXPORTER_OTLP_ENDPOINT: `${url}/otlp`,
    OTEL_EXPORTER_OTLP_HEADERS: `Authorization=Bearer ${credential}`,
    OTEL_LOGS_EXPORT_INTERVAL: "200",
  }
}

function codexExporting({ url, credential }: { url: string; credential: string }): string[] {
  const header = JSON.stringify(`Bearer ${credential}`)
  return [
    "[otel]",
    "[otel.exporter.otlp-http]",
    `endpoint = ${JSON.stringify(`${url}/otlp/v1/logs`)}`,
    'protocol = "json"',
    `headers = { "Authorization" = ${header} }`,
  ]
}

function write(path: string, text: string): void {
  mkdirSync(dirname(path), { recursive: true })
  writeFileSync(path, text)
}

/** Without what would lead an agent, or Skein, to this user's own. This checkout's Node comes first on the path, as in an npm script. */
function cleanEnvironment(): NodeJS.ProcessEnv {
  const own = Object.entries(process.env).filter(
    ([name]) => !/^(SKEIN_|GIT_|CLAUDE|ANTHROPIC_|CODEX_|OPENAI_|GEMINI_|GOOGLE_|OPENCODE|OTEL_|XDG_|VITEST|NODE_OPTIONS|FORCE_COLOR)/.test(name),
  )
  const path = [resolve("node_modules/.bin"), process.env["PATH"] ?? ""].join(":")
  return { ...Object.fromEntries(own), PATH: path, NO_COLOR: "1" }
}
