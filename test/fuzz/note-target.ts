import { mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { SkeinError } from "../../src/contract/errors.ts"
import { checkpointNotes } from "../../src/hub/notes.ts"
import { type Ledger, LedgerFailure } from "../../src/ledger/ledger.ts"
import { outsideCheckpoint } from "../../src/ledger/audit.ts"
import { makeKey, NoteInvalid, openNote, parseNote, parseSignature, parseSigner, parseTreeHead, parseVerifier } from "../../src/ledger/note.ts"
import { check, type InclusionProof, prove, proveConsistency } from "../../src/ledger/proof.ts"
import { formatRequest, parseRequest, requestCosignature, type ServedWitness, serveWitness } from "../../src/ledger/witness-http.ts"
import { readWitnessState, Witness } from "../../src/ledger/witness.ts"
import type { Choices } from "./choices.ts"
import { Broken, type Subject, type Target } from "./campaign.ts"
import { keptLedger, LOG, type KeptLedger, scratchFolder } from "./kept-ledger.ts"
import { type Json, mutateBytes, mutateText, mutateValue, oddJson, writeJson } from "./mutation.ts"
import { exchange } from "./raw-http.ts"

/** What is handed to those who trust no hub: notes, keys, proofs, and requests to a witness, over its own HTTP server too. */
export const noteTarget: Target = {
  name: "note",
  entrance: "checkpoint notes, keys, inclusion proofs, witness requests, the witness's state, and what a witness answers",
  casesPerSubject: 400,
  open: () => NoteSubject.open(),
}

const WITNESS_KEY = makeKey("witness", "fuzz-witness", new Uint8Array(32).fill(3))
const PROVED = 20
const PATIENCE_MS = 3_000

class NoteSubject implements Subject {
  readonly #kept: KeptLedger
  readonly #proof: InclusionProof
  readonly #consistency: Uint8Array[]
  readonly #folder: string
  readonly #witness: Witness
  readonly #served: ServedWitness
  #sent = ""

  private constructor(parts: { kept: KeptLedger; proof: InclusionProof; consistency: Uint8Array[]; folder: string; witness: Witness; served: ServedWitness }) {
    this.#kept = parts.kept
    this.#proof = parts.proof
    this.#consistency = parts.consistency
    this.#folder = parts.folder
    this.#witness = parts.witness
    this.#served = parts.served
  }

  static async open(): Promise<NoteSubject> {
    const kept = await keptLedger()
    const ledger = readerOf(kept)
    const proof = await prove(ledger, PROVED, kept.checkpoint.note)
    const folder = scratchFolder()
    const witness = new Witness(join(folder, "witness.json"), parseSigner(WITNESS_KEY.skey), () => 1_700_000_000_000)
    witness.watch(LOG.verifier.vkey)
    const served = await serveWitness({ witness })
    return new NoteSubject({ kept, proof, consistency: await proveConsistency(ledger, 10, kept.checkpoint.size), folder, witness, served })
  }

  describe(): string {
    return this.#sent.slice(0, 3_000)
  }

  attempt(choices: Choices): Promise<string> {
    const ways = [
      () => this.#note(choices),
      () => this.#key(choices),
      () => this.#check(choices),
      () => this.#request(choices),
      () => this.#state(choices),
      () => this.#keptNote(choices),
      () => this.#overHttp(choices),
      () => this.#answered(choices),
    ]
    return (ways[choices.below(ways.length)] as () => Promise<string>)()
  }

  async close(): Promise<void> {
    await this.#served.close()
    this.#witness.close()
    rmSync(this.#folder, { recursive: true, force: true })
  }

  /** A note opens only with the very text that was signed. */
  async #note(choices: Choices): Promise<string> {
    const { note } = this.#kept.checkpoint
    this.#sent = changedText(note, choices)
    const genuine = openNote(note, [LOG.verifier]).text
    const opened = orRefused(() => openNote(this.#sent, [LOG.verifier]))
    if (opened === null) return "note refused"
    if (opened.text !== genuine) throw new Broken(`a note that nobody signed opens: ${JSON.stringify(opened.text)}`)
    const head = parseTreeHead(opened.text)
    if (head.size !== this.#kept.checkpoint.size) throw new Broken(`the note is over ${head.size} entries`)
    orRefused(() => outsideCheckpoint(this.#sent, [LOG.verifier], LOG.verifier.name, "note"))
    return "note opens"
  }

  async #key(choices: Choices): Promise<string> {
    const key = choices.pick([LOG.verifier.vkey, WITNESS_KEY.skey, WITNESS_KEY.vkey])
    this.#sent = changedText(key, choices)
    const verifier = orRefused(() => parseVerifier(this.#sent))
    const signer = orRefused(() => parseSigner(this.#sent))
    orRefused(() => parseSignature(this.#sent))
    orRefused(() => parseTreeHead(this.#sent))
    orRefused(() => parseNote(this.#sent))
    if (signer !== null && this.#sent.trim() !== key) throw new Broken(`a changed signing key is taken: ${this.#sent}`)
    // A verifier key may be any point whose id fits: nobody finds one by chance.
    if (verifier !== null && this.#sent.trim() !== key) throw new Broken(`a changed verifier key is taken: ${this.#sent}`)
    return verifier === null && signer === null ? "key refused" : "key taken"
  }

  /** A proof holds only for the entry that was recorded. */
  async #check(choices: Choices): Promise<string> {
    const proof = this.#proof as unknown as Json
    const text = choices.chance(60) ? writeJson(mutateValue(proof, choices)) : mutateBytes(Buffer.from(writeJson(proof)), choices, 2).toString("utf8")
    this.#sent = text
    let given: unknown
    try {
      given = JSON.parse(text)
    } catch {
      return "proof is no JSON"
    }
    const checked = check(given, { log: [LOG.verifier] })
    if (!checked.ok) {
      if (checked.reason === "") throw new Broken("a proof was refused without a reason")
      return "proof refused"
    }
    if ((given as InclusionProof).entry !== this.#kept.entries[checked.seq - 1]?.bytes)
      throw new Broken(`a proof of another entry holds: ${(given as InclusionProof).entry}`)
    return "proof holds"
  }

  async #request(choices: Choices): Promise<string> {
    this.#sent = this.#requestText(choices)
    const parsed = parseRequest(this.#sent)
    if (parsed === null) return "request refused"
    const before = JSON.stringify(this.#witness.state)
    const answer = this.#witness.add(parsed.old, parsed.proof, parsed.note)
    if (answer.status !== 200 && answer.status !== 409 && answer.reason === "") throw new Broken("a witness refused without a reason")
    if (answer.status === 200 && !this.#sent.includes(this.#kept.checkpoint.note.split("\n")[2] as string)) throw new Broken("a witness cosigned another root")
    if (answer.status !== 200 && JSON.stringify(this.#witness.state) !== before) throw new Broken("a refused request changed what the witness knows")
    return `witness ${answer.status}`
  }

  #requestText(choices: Choices): string {
    const { checkpoint } = this.#kept
    const valid = choices.chance(70) ? formatRequest(0, [], checkpoint.note) : formatRequest(10, this.#consistency, checkpoint.note)
    return choices.chance(20) ? valid : changedText(valid, choices)
  }

  /** The witness's own file: read whole, or refused as damaged. */
  async #state(choices: Choices): Promise<string> {
    const path = join(this.#folder, "changed.json")
    const genuine: Json = {
      logs: {
        "skein/fuzz/main": {
          vkeys: [LOG.verifier.vkey],
          last: { size: this.#kept.checkpoint.size, root: this.#kept.checkpoint.root, note: this.#kept.checkpoint.note },
          convictions: [],
        },
      },
    }
    const bytes = oddJson(mutateValue(genuine, choices), choices)
    this.#sent = bytes.toString("utf8")
    writeFileSync(path, bytes)
    let witness: Witness
    try {
      readWitnessState(path)
      witness = new Witness(path, parseSigner(WITNESS_KEY.skey), () => 1_700_000_000_000)
    } catch (error) {
      return `state ${failureCode(error)}`
    }
    try {
      const answer = witness.add(0, [], this.#kept.checkpoint.note)
      return `state read, witness ${answer.status}`
    } finally {
      witness.close()
    }
  }

  /** What a hub keeps beside its ledger: its key and its last note. */
  async #keptNote(choices: Choices): Promise<string> {
    const keys = join(this.#folder, "keys")
    mkdirSync(keys, { recursive: true })
    const notes = checkpointNotes({ keysDirectory: keys, notesDirectory: keys, random: (bytes) => new Uint8Array(bytes).fill(5) })
    await notes.sign("main", this.#kept.checkpoint)
    const genuine = readFileSync(join(keys, "checkpoint-main.key"))
    const changed = mutateBytes(genuine, choices, 2)
    this.#sent = changed.toString("latin1")
    writeFileSync(join(keys, "checkpoint-main.key"), changed)
    const again = checkpointNotes({ keysDirectory: keys, notesDirectory: keys, random: (bytes) => new Uint8Array(bytes).fill(6) })
    try {
      const note = await again.sign("main", this.#kept.checkpoint)
      openNote(note, [parseVerifier(await again.verifierKey("main"))])
      if (changed.toString("utf8").trim() !== genuine.toString("utf8").trim()) throw new Broken("a hub signs with a key that was changed")
      return "key file taken"
    } catch (error) {
      if (error instanceof Broken) throw error
      if (!(error instanceof SkeinError && error.message.includes(keys) && error.remedy !== "")) throw error
      // A change may have copied the secret into the key's name, which is told.
      const secret = (genuine.toString("utf8").trim().split("+").at(-1) as string).slice(8, 40)
      const [, , named = ""] = changed.toString("utf8").split("+")
      if (error.message.includes(secret) && !named.includes(secret)) throw new Broken(`an error tells a secret key: ${error.message}`)
      return "key file refused"
    } finally {
      rmSync(keys, { recursive: true, force: true })
    }
  }

  /** A witness that is none, or lies: only what it signed over this very checkpoint counts as its cosignature. */
  async #answered(choices: Choices): Promise<string> {
    const { note, size } = this.#kept.checkpoint
    const path = join(this.#folder, "other.json")
    const other = new Witness(path, parseSigner(WITNESS_KEY.skey), () => 1_700_000_000_000)
    other.watch(LOG.verifier.vkey)
    const given = other.add(0, [], note)
    other.close()
    rmSync(path)
    if (given.status !== 200) throw new Error(`the witness refused: ${given.status}`)
    this.#sent = ""
    const post = (): Promise<{ status: number; body: string }> => {
      const status = choices.pick([200, 200, 200, 409, 409, 400, 403, 404, 422, 429, 500])
      const sizes = ["0\n", "10\n", `${size}\n`, `${size + 1}\n`, "9999999999999999\n", "-1\n"]
      const text = status === 409 ? choices.pick(sizes) : choices.chance(20) ? note : `${given.signature}\n`
      const body = choices.chance(70) ? changedText(text, choices) : text
      this.#sent += `${status}\n${body}\n---\n`
      return Promise.resolve({ status, body })
    }
    const witness = parseVerifier(WITNESS_KEY.vkey)
    const came = await requestCosignature({ url: "http://127.0.0.1:1/", witness, note, ledger: readerOf(this.#kept), old: choices.pick([0, 10, size]), post })
    if (came.outcome === "cosigned") {
      const { text } = openNote(came.note, [witness])
      if (text !== parseNote(note).text) throw new Broken(`another checkpoint counts as cosigned: ${text}`)
    } else if (came.reason === "" || came.reason.length > 1_000 || /\p{Cc}/u.test(came.reason))
      throw new Broken(`${came.outcome} without a reason that can be shown: ${JSON.stringify(came.reason)}`)
    return `answer ${came.outcome}`
  }

  async #overHttp(choices: Choices): Promise<string> {
    const { port, host } = new URL(this.#served.url)
    const body = Buffer.from(this.#requestText(choices))
    const path = choices.pick([
      "/add-checkpoint",
      "/add-checkpoint",
      "/",
      "//",
      "/%",
      "/..",
      `/${"0".repeat(64)}/checkpoint`,
      "http://[",
      "*",
      mutateText("/add-checkpoint", choices),
    ])
    const method = choices.pick(["POST", "POST", "GET", "PUT", "HEAD"])
    const whole = Buffer.concat([Buffer.from(`${method} ${path} HTTP/1.1\r\nHost: ${host}\r\nContent-Length: ${body.length}\r\n\r\n`), body])
    const tampered = choices.chance(25)
    const bytes = tampered ? mutateBytes(whole, choices, 2) : whole
    this.#sent = bytes.toString("latin1")
    const answer = await exchange({ port: Number(port), pieces: [bytes], whole: false, patienceMs: PATIENCE_MS, noBody: this.#sent.startsWith("HEAD") })
    if (answer.status === null && !answer.closed) throw new Broken(`the witness did not answer within ${PATIENCE_MS} ms`)
    if (answer.status === null && !tampered && !path.includes(" ") && /^[\x21-\x7e]+$/.test(path))
      throw new Broken("the witness closed the connection without an answer")
    if (answer.status !== null && answer.status >= 500) throw new Broken(`the witness answered ${answer.status}`)
    return `witness over HTTP ${answer.status ?? "closed"}`
  }
}

function changedText(text: string, choices: Choices): string {
  if (choices.chance(50)) return mutateBytes(Buffer.from(text), choices, 3).toString("utf8")
  const lines = text.split("\n")
  const at = choices.below(lines.length)
  lines[at] = mutateText(lines[at] as string, choices)
  return lines.join("\n")
}

/** Null where it is refused as it should be. */
function orRefused<Result>(read: () => Result): Result | null {
  try {
    return read()
  } catch (error) {
    if (error instanceof NoteInvalid && error.message !== "") return null
    throw error
  }
}

function failureCode(error: unknown): string {
  if (error instanceof LedgerFailure && error.remedy !== "") return error.code
  throw error
}

/** The kept entries as a ledger to read from. */
function readerOf({ entries }: KeptLedger): Pick<Ledger, "read"> {
  return { read: (from, limit) => Promise.resolve(entries.slice(from - 1, from - 1 + limit)) }
}
