/** The program of a script agent: a child process that joins the hub with its own credential. All it knows comes in its environment. */
import { connect } from "../client/client.ts"
import { SkeinError } from "../contract/errors.ts"
import { runtimeOf } from "./script-agent-runtime.ts"
import { runScriptAgent } from "./script-agent.ts"
import { signalStatus } from "./signal-status.ts"

/** Variables that commands of the agent see besides those of their task. */
const PASSED_ON = ["SKEIN_EXAMPLES", "SKEIN_REPO", "SKEIN_MAIN", "SKEIN_WORKSPACE"] as const

function given(name: string): string {
  const value = process.env[name]
  if (value === undefined) throw new SkeinError("invalid_input", `${name} is not set`, "This program is started by `skein run`.")
  return value
}

async function main(): Promise<void> {
  const stopped = new AbortController()
  // SIGTERM reaches the whole group; the agent then gives back what it holds.
  for (const signal of ["SIGTERM", "SIGINT"] as const)
    process.once(signal, () => {
      process.exitCode = signalStatus(signal)
      stopped.abort()
    })
  const url = given("SKEIN_URL")
  const tokenFile = given("SKEIN_TOKEN_FILE")
  const client = await connect({ url, workspace: given("SKEIN_WORKSPACE"), credentialFile: tokenFile })
  const session = await client.session({ runtime: runtimeOf(process.pid) })
  try {
    const completed = await runScriptAgent(client, {
      agent: given("SKEIN_AGENT"),
      session: session.id,
      plan: given("SKEIN_PLAN"),
      cwd: process.cwd(),
      workDir: given("SKEIN_WORK_DIR"),
      hub: { url, tokenFile },
      speed: Number(given("SKEIN_SPEED")),
      env: Object.fromEntries(PASSED_ON.flatMap((name) => (process.env[name] === undefined ? [] : [[name, process.env[name]]]))),
      signal: stopped.signal,
      say: (line) => process.stdout.write(`${line}\n`),
    })
    await session.end(stopped.signal.aborted ? "stopped" : "finished")
    process.stdout.write(`${completed} tasks completed\n`)
  } finally {
    await client.close()
  }
}

main().catch((error: unknown) => {
  const text = error instanceof SkeinError ? `${error.code}: ${error.message}. ${error.remedy}` : String(error instanceof Error ? error.stack : error)
  process.stderr.write(`${text}\n`)
  process.exitCode = 1
})
