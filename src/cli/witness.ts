import { randomBytes } from "node:crypto"
import { existsSync, writeFileSync } from "node:fs"
import { dirname, join } from "node:path"
import type { Command } from "commander"
import { SkeinError } from "../contract/errors.ts"
import { readPrivately } from "../ledger/private-file.ts"
import { act, asText, collect, examples, integer, type Context } from "./context.ts"
import { UsageError } from "./failure.ts"
import { makeFolder } from "./folder.ts"
import { stateHome } from "./instance.ts"
import { withLedger } from "./ledger-reading.ts"
import { printable } from "./printable.ts"
import { showTime } from "./local-time.ts"
import { renderTable } from "./table.ts"
import { cosignNow, readWitnesses, writeWitnesses } from "./witness-list.ts"

/** `skein witness`: others who vouch for the ledger, so that not even its owner can rewrite it unseen. */
export function register(program: Command): void {
  const witness = program.command("witness").description("Have others vouch for the ledger, or vouch for the ledgers of others (c2sp.org/tlog-witness).")
  witness
    .command("serve")
    .description(
      "Be a witness: remember the last checkpoint of each log, cosign what only grew, refuse a fork or a rollback for ever. Run it where the log's owner has no access.",
    )
    .option("--state <file>", "what it remembers (default: witness.json in its own folder under the home directory)")
    .option("--name <name>", "its name, made into its key at the first start", "witness")
    .option("--watch <vkey>", "watch this log from now on; may be repeated", collect(asText))
    .option("--port <n>", "listen here", integer(0, 65_535), 0)
    .option("--host <address>", "listen on this address", "127.0.0.1")
    .addHelpText(
      "after",
      examples(['skein witness serve --port 7800 --watch "$(cat log.pub)"', "prints its public key: the log's owner adds it with skein witness add"]),
    )
    .action(act(serve))
  witness
    .command("add <url> <vkey>")
    .description("Have this workspace's checkpoints cosigned by a witness: its address and its public key.")
    .addHelpText("after", examples(["skein witness add http://127.0.0.1:7800 witness+1a2b3c4d+BA...", "and asks it to cosign a fresh checkpoint at once"]))
    .action(act(add))
  witness
    .command("status")
    .description("Show the witnesses of this workspace and what they saw last; with --state, what a witness on this machine knows.")
    .option("--state <file>", "of the witness with this state file")
    .addHelpText(
      "after",
      examples(["skein witness status", "url, entries seen"], ["skein witness status --state witness.json", "logs watched, and any caught with two histories"]),
    )
    .action(act(status))
}

type ServeOptions = { state?: string; name: string; watch?: string[]; port: number; host: string }

async function serve({ terminal }: Context, { state = defaultState(), name, watch = [], port, host }: ServeOptions): Promise<void> {
  const [{ Witness }, { serveWitness }, { makeKey, parseSigner }] = await Promise.all([
    import("../ledger/witness.ts"),
    import("../ledger/witness-http.ts"),
    import("../ledger/note.ts"),
  ])
  const keyFile = `${state}.key`
  makeFolder(dirname(state), 0o700)
  if (!existsSync(keyFile)) writeFileSync(keyFile, `${makeKey("witness", name, randomBytes(32)).skey}\n`, { mode: 0o600, flag: "wx" })
  const signer = parseSigner(readPrivately(keyFile))
  const witness = new Witness(state, signer, () => Date.now())
  try {
    for (const vkey of watch) witness.watch(vkey)
    const served = await serveWitness({ witness, port, host })
    const { vkey } = signer.verifier
    terminal.answer(
      { url: served.url, vkey, state, logs: Object.keys(witness.state.logs) },
      `the witness listens at ${served.url}; Ctrl-C stops it\nits key: ${vkey}\nadd it:  skein witness add ${served.url} '${vkey}'`,
    )
    await new Promise<void>((resolve) => {
      for (const signal of ["SIGINT", "SIGTERM"] as const) process.once(signal, () => resolve())
    })
    await served.close()
  } finally {
    witness.close()
  }
}

function defaultState(): string {
  return join(stateHome(), "skein-witness", "witness.json")
}

async function add(context: Context, url: string, vkey: string): Promise<void> {
  const { terminal } = context
  const { parseVerifier } = await import("../ledger/note.ts")
  const verifier = parseVerifier(vkey)
  if (verifier.kind !== "witness") throw new UsageError("this is the key of a log, not of a witness", "Give the key that skein witness serve printed.")
  if (URL.parse(url)?.protocol.startsWith("http") !== true)
    throw new UsageError(`${JSON.stringify(url)} is no address of a witness`, "Give the address that skein witness serve printed.")
  const hub = await context.hub()
  const before = readWitnesses(context.instance(), context.workspace)
  const others = before.filter((known) => known.url !== url)
  writeWitnesses(context.instance(), context.workspace, [...others, { url, vkey, seenSize: 0 }])
  const { note } = await hub.call("ledger.checkpoint", {})
  const answer = (await withLedger(context, {}, (source) => cosignNow(context.instance(), context.workspace, note, source))).answers.find(
    (one) => one.url === url,
  )
  if (answer?.outcome === "refused") {
    // As if it had not been asked for: what failed has changed nothing.
    writeWitnesses(context.instance(), context.workspace, [
      ...readWitnesses(context.instance(), context.workspace).filter((known) => known.url !== url),
      ...before.filter((known) => known.url === url),
    ])
    throw new SkeinError(
      "invalid",
      `the witness refuses: ${answer.reason}`,
      "Have it watch this log first: skein witness serve --watch, with the key of .skein/keys/checkpoint-NAME.pub.",
      { ...answer },
    )
  }
  if (answer?.outcome === "unreachable") terminal.notice(`it is added, and does not answer just now: ${printable(answer.reason ?? "")}`)
  terminal.answer({ url, witness: verifier.name, outcome: answer?.outcome ?? null }, `${printable(verifier.name)} is a witness of this ledger from now on`)
}

async function status(context: Context, { state }: { state?: string }): Promise<void> {
  const { terminal } = context
  if (state !== undefined) return ownStatus(context, state)
  const witnesses = readWitnesses(context.instance(), context.workspace)
  for (const one of witnesses) terminal.record(one)
  if (terminal.json) return
  const rows = witnesses.map(({ url, vkey, seenSize }) => [vkey.split("+", 1)[0] ?? "", url, seenSize])
  terminal.print(
    witnesses.length === 0
      ? "this workspace has no witness: skein witness add URL KEY"
      : renderTable(terminal, [{ head: "witness" }, { head: "url", max: 60 }, { head: "entries seen", right: true }], rows),
  )
}

async function ownStatus({ terminal }: Context, path: string): Promise<void> {
  const { readWitnessState, witnessOwner } = await import("../ledger/witness.ts")
  const owner = witnessOwner(path)
  if (owner === null && !existsSync(path))
    throw new UsageError(`there is no witness with the state ${path}`, `Name its state file, or begin one: skein witness serve --state ${path}`)
  const { logs } = readWitnessState(path)
  for (const [origin, { last, convictions }] of Object.entries(logs)) terminal.record({ origin, size: last?.size ?? 0, root: last?.root ?? null, convictions })
  if (terminal.json) return
  terminal.print(owner === null ? "no process serves it" : `served by process ${owner.pid}${owner.address === null ? "" : ` at ${owner.address}`}`)
  for (const [origin, { last, convictions }] of Object.entries(logs)) {
    terminal.print(`${printable(origin)}: ${last === null ? "nothing seen yet" : `${last.size} entries`}`)
    for (const { atMs } of convictions)
      terminal.print(`  ${terminal.colours.red("caught with two histories")} at ${showTime(atMs)}: the evidence is in ${printable(path)}`)
  }
}
