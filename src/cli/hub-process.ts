import { createPrivateKey, generateKeyPairSync, type KeyObject, randomBytes } from "node:crypto"
import { existsSync, linkSync, mkdirSync, renameSync, rmSync, statSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { isatty } from "node:tty"
import { pino, type Logger } from "pino"
import { systemClock } from "../hub/clock.ts"
import { openHub } from "../hub/hub.ts"
import { checkpointNotes } from "../hub/notes.ts"
import { snapshotFiles } from "../hub/snapshot-files.ts"
import { SkeinError } from "../contract/errors.ts"
import { toHex } from "../core/hash.ts"
import { decodeEntry, HUB } from "../core/entry.ts"
import type { Checkpoint } from "../core/workspace.ts"
import { type Ledger, LedgerFailure } from "../ledger/ledger.ts"
import { readPrivately, replacePrivately } from "../ledger/private-file.ts"
import { sha256 } from "../ledger/sha256.ts"
import { openSqlite, type SqliteLedger } from "../ledger/sqlite.ts"
import { signalStatus } from "../runtime/signal-status.ts"
import { bornOf } from "../runtime/supervisor-folder.ts"
import { Auth, hashCredential, makeOperatorCredential, OPERATOR } from "../surface/auth.ts"
import { signOutFile } from "../surface/sign-outs.ts"
import { serve, type Served } from "../surface/http.ts"
import { readConfig } from "./config.ts"
import { foreseeBeside } from "./files-foreseen.ts"
import { keepCosigned } from "./cosigning.ts"
import { UsageError } from "./failure.ts"
import type { Listening } from "./hub-start.ts"
import { leaveSmallHeap, releaseWhenIdle } from "./idle-memory.ts"
import type { HubFile, Instance } from "./instance.ts"
import { prepareInstance } from "./instance-files.ts"
import { type InstanceWatch, watchInstance } from "./instance-watch.ts"
import { ledgersIn, strayLedger } from "./ledger-folder.ts"
import { keptFile, ownCheckpoints, unreadableFile } from "./ledger-source.ts"
import { appendingTo } from "./log-file.ts"
import { version } from "./version.ts"

const LOG_LEVELS: readonly string[] = ["trace", "debug", "info", "warn", "error", "fatal", "silent"]

/**
 * The hub as a process: the one place that knows which ledger, clock, keys and log the others are given. Serves until SIGTERM or SIGINT, then ends
 * cleanly: answers what waits, records last checkpoints, removes `hub.json`. `ready` is told the address once it listens.
 */
export async function serveHub(instance: Instance, listening: Listening, ready: (url: string) => void): Promise<void> {
  leaveSmallHeap()
  await prepareInstance(instance)
  const { directory } = instance
  const log = openLog(directory)
  const at = (...names: string[]): string => join(directory, ...names)
  mkdirSync(at("ledger"), { recursive: true, mode: 0o700 })
  const { prices, wake } = readConfig(directory)
  const ledgers: SqliteLedger[] = []
  const notes = checkpointNotes({ keysDirectory: at("keys"), notesDirectory: at("checkpoint"), random: (bytes) => randomBytes(bytes) })
  const openLedger = async (workspace: string): Promise<SqliteLedger> => {
    const stray = await strayLedger(instance, workspace)
    if (stray !== null) throw stray
    const ledger = openSqlite({ path: at("ledger", `${workspace}.sqlite`), owner: { pid: process.pid, address: null } })
    try {
      // The public key, which the kept checkpoint is read with, follows from the secret one.
      if (existsSync(at("keys", `checkpoint-${workspace}.key`))) await notes.verifierKey(workspace).catch(() => undefined)
      await checkKept(instance, workspace, ledger, log)
    } catch (error) {
      await ledger.close()
      throw error
    }
    ledgers.push(ledger)
    return ledger
  }
  const { workspaces, strays } = await ledgersIn(instance)
  for (const stray of strays) log.error({ err: stray }, "a workspace, or a file among the ledgers, is not served")
  let watch: InstanceWatch | null = null
  const fatal = (error: unknown): void => {
    log.fatal({ err: error }, "a commit's outcome is unknown: the hub ends, and tells the truth after its next start")
    process.exit(1)
  }
  const hub = await openHub(
    {
      clock: systemClock,
      sha256,
      openLedger,
      snapshots: snapshotFiles(at("snapshots")),
      ladder: snapshotFiles(at("snapshots", "past")),
      log,
      sign: (workspace, checkpoint) => {
        watch?.look()
        return notes.sign(workspace, checkpoint)
      },
      fatal,
    },
    [...new Set(["main", ...workspaces])],
  )
  if (Object.keys(wake).length > 0)
    for (const name of hub.names()) await hub.workspace(name)?.execute("wake.setPolicy", HUB, { changes: wake, reason: "config.yaml says so" })
  let served: Served | null = null
  let file: HubFile
  try {
    const auth = new Auth({
      hub,
      key: tokenKey(at("keys")),
      operatorHash: hashCredential(operatorCredential(directory)),
      wallMs: () => Date.now(),
      signOuts: signOutFile(at("keys", "signed-out.json")),
    })
    served = await listen(
      { hub, auth, log, version, prices, foresee: foreseeBeside(directory), host: listening.host, allowedHosts: listening.allowedHosts },
      listening.port,
      at("port"),
    )
    replacePrivately(at("port"), `${new URL(served.url).port || 80}\n`)
    for (const ledger of ledgers) ledger.announce(served.url)
    file = { pid: process.pid, url: served.url, startedAtMs: Date.now(), version, born: bornOf(process.pid) ?? "" }
    replacePrivately(at("hub.json"), `${JSON.stringify(file)}\n`)
  } catch (error) {
    // A hub that nobody can find must not stay, and hold the ledger.
    await served?.close()
    await hub.close()
    throw error
  }
  log.info({ url: file.url, version, workspaces: hub.names() }, "up")
  // From here on somebody may know the hub, and stop it.
  const stopped = stopSignal()
  ready(served.url)
  watch = watchInstance(instance, file, () => {
    log.fatal({}, "the ledger was removed while the hub ran: the hub ends")
    process.exit(1)
  })
  const cosigned = keepCosigned(instance, hub, log)
  const stopReleasing = releaseWhenIdle(() => hub.names().reduce((sum, name) => sum + (hub.workspace(name)?.head.seq ?? 0), 0))
  const signal = await stopped
  watch.stop()
  stopReleasing()
  cosigned.stop()
  log.info({ signal }, "going down")
  await served.close()
  await hub.close()
  rmSync(at("hub.json"), { force: true })
  log.info({}, "down")
}

/**
 * Holds a ledger against the checkpoint that is kept outside it. A hub that went on from a ledger that was cut would replace that checkpoint with its own,
 * and sign a second history. Throws `LedgerFailure` `damaged`; what was signed is in the ledger first, so an honest crash never looks like this. One that
 * cannot be read shows nothing: it is put aside, where `skein doctor` and `skein ledger verify` tell of it until a person has removed it.
 */
async function checkKept(instance: Instance, workspace: string, ledger: Ledger, log: Logger): Promise<void> {
  const { outside, unreadable } = await ownCheckpoints(instance, workspace)
  const [kept] = outside
  if (unreadable !== null) log.error({ err: unreadable, workspace }, "whether the ledger was cut cannot be told")
  const path = keptFile(instance, workspace)
  // A power cut may leave it so. The next checkpoint would take its place, and nobody would hear of it.
  if (kept === undefined && existsSync(path)) renameSync(path, unreadableFile(instance, workspace))
  if (kept === undefined) return
  const { size, root } = kept
  const [recorded] = await ledger.read(size + 1, 1)
  const { seq: head } = await ledger.head()
  const { type, data } = recorded === undefined ? { type: null, data: null } : decodeEntry(recorded.bytes)
  if (type === "checkpoint.recorded" && (data as Checkpoint).root === toHex(root)) return
  const found = recorded === undefined ? `ends at entry ${head}` : `holds another history at entry ${size + 1}`
  throw new LedgerFailure(
    "damaged",
    `the ledger of workspace ${workspace} ${found}; .skein/checkpoint/${workspace} has a checkpoint of ${size} entries`,
    `Put back the ledger that reaches it. To go on from this one and lose what came after, put .skein/checkpoint/${workspace} aside: a witness will refuse the new history.`,
    Math.min(head, size) + 1,
  )
}

/** Listens where the hub listened the last time, so that agents find it again after a restart; elsewhere where that is taken. */
async function listen(options: Omit<Parameters<typeof serve>[0], "port">, wanted: number | null, portFile: string): Promise<Served> {
  const last = Number(existsSync(portFile) ? readPrivately(portFile) : 0)
  const ports = wanted === null ? [last, 0] : [wanted]
  for (const port of ports) {
    try {
      return await serve({ ...options, port: Number.isInteger(port) && port > 0 && port < 65_536 ? port : 0 })
    } catch (error) {
      if (error instanceof SkeinError) throw error
      const { code } = error as NodeJS.ErrnoException
      if (code === "EADDRINUSE" && port !== ports.at(-1)) continue
      if (code === undefined) throw error
      const where = `${options.host ?? ""}:${port}`
      throw new SkeinError("invalid", `the hub cannot listen on ${where} (${code})`, "Choose another address or port: skein up --host ADDRESS --port N")
    }
  }
  throw new Error("one of the ports was tried last")
}

/**
 * The first signal that asks to stop; the second one ends the process where it stands. A terminal that ends may say so twice (the kernel, and its shell), and
 * systemd right after it asked (`SendSIGHUP=`): SIGHUP is never a second one. A hub that is on no terminal has none that could end: under `nohup`, of
 * which Node's start leaves nothing to be seen, it goes on.
 */
function stopSignal(): Promise<NodeJS.Signals> {
  const onTerminal = [0, 1, 2].some((descriptor) => isatty(descriptor))
  return new Promise((resolve) => {
    let asked = false
    const stop = (signal: NodeJS.Signals): void => {
      if (signal === "SIGHUP" && (asked || !onTerminal)) return
      if (asked) process.exit(signalStatus(signal))
      asked = true
      resolve(signal)
    }
    for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.on(signal, stop)
  })
}

/** The key that signs tokens: made once, of mode 0600. A new one makes every token void, and none longer lived than 15 minutes is lost by it. */
function tokenKey(folder: string): KeyObject {
  mkdirSync(folder, { recursive: true, mode: 0o700 })
  const path = join(folder, "token.pem")
  if (!existsSync(path)) createFile(path, generateKeyPairSync("ed25519").privateKey.export({ type: "pkcs8", format: "pem" }).toString())
  const text = readPrivately(path)
  try {
    const key = createPrivateKey(text)
    if (key.asymmetricKeyType === "ed25519") return key
  } catch {
    // What OpenSSL says of it would help nobody.
  }
  throw new SkeinError(
    "invalid",
    `${path} holds no Ed25519 key`,
    "Put back the file, or remove it: the next start makes another, and tokens of the last 15 minutes are void.",
  )
}

function operatorCredential(directory: string): string {
  const path = join(directory, "operator.credential")
  if (!existsSync(path)) createFile(path, `${makeOperatorCredential().credential}\n`)
  const credential = readPrivately(path).trim()
  if (!credential.startsWith(`skc_${OPERATOR}_`))
    throw new SkeinError("invalid", `${path} holds no operator's credential`, "Put back the file, or remove it: the next start makes another.")
  return credential
}

/** Whole and of mode 0600, or as somebody else made it first. */
function createFile(path: string, text: string): void {
  const draft = `${path}.${process.pid}`
  writeFileSync(draft, text, { mode: 0o600, flag: "wx" })
  try {
    linkSync(draft, path)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "EEXIST") throw error
  } finally {
    rmSync(draft, { force: true })
  }
}

/** `SKEIN_LOG_LEVEL`, or `info`. */
function logLevel(): string {
  const wanted = process.env["SKEIN_LOG_LEVEL"]
  if (wanted === undefined || wanted === "") return "info"
  if (LOG_LEVELS.includes(wanted)) return wanted
  throw new UsageError(`SKEIN_LOG_LEVEL is ${JSON.stringify(wanted.slice(0, 80))}`, `Set it to one of ${LOG_LEVELS.join(", ")}, or not at all.`)
}

function openLog(directory: string): Logger {
  const folder = join(directory, "logs")
  mkdirSync(folder, { recursive: true, mode: 0o700 })
  const path = join(folder, "hub.log")
  const found = statSync(path, { throwIfNoEntry: false })
  if (found?.isFile() === false) throw new SkeinError("invalid", `${path} is no regular file`, "Move away what is in its place: the hub writes its log there.")
  // What is bearer or credential is never handed to the log; should it ever be, it is not written.
  const redact = ["credential", "token", "authorization", "*.credential", "*.token", "*.authorization"]
  return pino({ level: logLevel(), base: { pid: process.pid }, redact }, appendingTo(path))
}
