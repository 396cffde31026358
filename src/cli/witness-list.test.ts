import { mkdirSync, mkdtempSync, readFileSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { expect, onTestFinished, test, vi } from "vitest"
import { Chain } from "../core/chain.ts"
import type { Checkpoint } from "../core/workspace.ts"
import { MemoryStore } from "../ledger/memory.ts"
import { formatTreeHead, makeKey, openNote, parseNote, parseSigner, parseTreeHead, parseVerifier, signNote } from "../ledger/note.ts"
import { sha256 } from "../ledger/sha256.ts"
import { serveWitness } from "../ledger/witness-http.ts"
import { Witness } from "../ledger/witness.ts"
import { makeEntries } from "../../test/ledger-entries.ts"
import { openRig } from "../../test/simulation/rig.ts"
import { ThroughLedger } from "../../test/simulation/through-ledger.ts"
import type { Stored } from "../ledger/ledger.ts"
import { keepCosigned } from "./cosigning.ts"
import { cosignNow, readWitnesses, writeWitnesses } from "./witness-list.ts"

function newInstance() {
  const directory = mkdtempSync(join(tmpdir(), "skein-witnesses-"))
  mkdirSync(join(directory, "checkpoint"))
  return { directory, repository: null }
}

test("a list of witnesses reads as it was written, and one that is none is named with its file", () => {
  const instance = newInstance()
  expect(readWitnesses(instance, "main")).toEqual([])
  const known = [{ url: "http://127.0.0.1:7800", vkey: "witness+1a2b3c4d+BA", seenSize: 7 }]
  writeWitnesses(instance, "main", known)
  expect(readWitnesses(instance, "main")).toEqual(known)
  const path = join(instance.directory, "witnesses-main.json")
  for (const text of ["", "null", "{}", "[null]", '[{"url":"http://127.0.0.1:7800"}]', JSON.stringify([{ ...known[0], seenSize: -1 }]), "\0"]) {
    writeFileSync(path, text)
    expect(() => readWitnesses(instance, "main"), text).toThrow(`${path} is no list of witnesses`)
  }
})

const LOG = makeKey("log", "skein/main", Buffer.alloc(32, 1))

/** A ledger of `size` entries, and its signed checkpoint at each size. */
async function logOf(size: number) {
  const ledger = new MemoryStore().open()
  const chain = new Chain(sha256)
  const roots = [chain.root()]
  for (let at = 0; at < size; at += 1) {
    await ledger.append(at, makeEntries(chain, 1))
    chain.commit()
    roots.push(chain.root())
  }
  const note = (at: number): string => signNote(formatTreeHead({ origin: "skein/main", size: at, root: roots[at]! }), parseSigner(LOG.skey))
  return { ledger, note }
}

/** A real witness that watches the log. */
async function witnessNamed(name: string) {
  const { skey, vkey } = makeKey("witness", name, Buffer.alloc(32, name.charCodeAt(0)))
  const witness = new Witness(join(mkdtempSync(join(tmpdir(), "skein-witness-")), "witness.json"), parseSigner(skey), () => Date.now())
  witness.watch(LOG.vkey)
  let served = await serveWitness({ witness })
  const { url } = served
  onTestFinished(async () => {
    await served.close()
    witness.close()
  })
  const leave = (): Promise<void> => served.close()
  const comeBack = async (): Promise<void> => void (served = await serveWitness({ witness, port: Number(new URL(url).port) }))
  return { known: { url, vkey, seenSize: 0 }, leave, comeBack }
}

test("a checkpoint that another process overtook is no rollback, and takes nothing from the later one; a ledger that is too short is one", async () => {
  const instance = newInstance()
  const [alice, bob] = [(await witnessNamed("alice")).known, (await witnessNamed("bob")).known]
  const { ledger, note } = await logOf(20)
  writeWitnesses(instance, "main", [alice])
  await cosignNow(instance, "main", note(20), ledger)
  const cosigned = (): string => readFileSync(join(instance.directory, "checkpoint", "main.cosigned"), "utf8")
  const last = cosigned()
  for (const seenSize of [0, 20]) {
    writeWitnesses(instance, "main", [{ ...alice, seenSize }, bob])
    const { answers } = await cosignNow(instance, "main", note(18), ledger)
    expect(answers).toMatchObject([
      { url: alice.url, outcome: "overtaken", offence: null, reason: expect.stringContaining("of 20 entries") as string },
      { outcome: "cosigned" },
    ])
    expect(cosigned()).toBe(last)
  }
  const restored = await logOf(18)
  const { answers } = await cosignNow(instance, "main", restored.note(18), restored.ledger)
  expect(answers).toMatchObject([{ outcome: "refused", offence: "rollback" }, { outcome: "cosigned" }])
  expect(openNote(cosigned(), [parseVerifier(bob.vkey)]).text).toContain("\n18\n")
})

test("one witness whose key is none is named, and the others are asked", async () => {
  const instance = newInstance()
  const [alice, bob] = [(await witnessNamed("alice")).known, (await witnessNamed("bob")).known]
  const { ledger, note } = await logOf(5)
  writeWitnesses(instance, "main", [alice, { url: "http://127.0.0.1:7800", vkey: "carol+1a2b3c4d+BA", seenSize: 3 }, bob])
  const { note: signed, answers } = await cosignNow(instance, "main", note(5), ledger)
  expect(answers).toMatchObject([
    { outcome: "cosigned" },
    { url: "http://127.0.0.1:7800", outcome: "unusable", reason: expect.stringMatching(/witnesses-main\.json: .*carol.*skein witness add/) as string },
    { outcome: "cosigned" },
  ])
  expect(openNote(signed, [parseVerifier(alice.vkey), parseVerifier(bob.vkey)]).verified).toHaveLength(2)
  expect(readWitnesses(instance, "main").map(({ seenSize }) => seenSize)).toEqual([5, 3, 5])
})

test("a hub has each new checkpoint cosigned by itself, and asks a witness again that was away", async () => {
  const sign = ({ size, root }: Checkpoint): string =>
    signNote(formatTreeHead({ origin: "skein/main", size, root: Buffer.from(root, "hex") }), parseSigner(LOG.skey))
  const rig = await openRig({ sign: (_, checkpoint) => Promise.resolve(sign(checkpoint)) })
  const instance = newInstance()
  const alice = await witnessNamed("alice")
  writeWitnesses(instance, "main", [alice.known])
  const warned: string[] = []
  const log = { info: () => undefined, warn: (_: object, text: string) => void warned.push(text), error: () => undefined }
  const kept = keepCosigned(instance, rig.hub, log, 5)
  onTestFinished(() => kept.stop())
  const isCosigned = (): Promise<void> =>
    vi.waitFor(() => expect(readWitnesses(instance, "main")).toMatchObject([{ seenSize: parseTreeHead(parseNote(rig.loop.note() ?? "").text).size }]), 30_000)
  await rig.clock.advance(1_000)
  await isCosigned()
  await alice.leave()
  await rig.agents("a")
  await rig.clock.advance(1_000)
  await vi.waitFor(() => expect(warned).toContain("a witness does not answer"), 30_000)
  await alice.comeBack()
  await isCosigned()
})

test("a hub reads its ledger once for its witnesses, however many checkpoints they cosign, and gives way while it does", async () => {
  const sign = ({ size, root }: Checkpoint): string =>
    signNote(formatTreeHead({ origin: "skein/main", size, root: Buffer.from(root, "hex") }), parseSigner(LOG.skey))
  let first = Infinity
  class Counting extends ThroughLedger {
    override read(from: number, limit: number): Promise<Stored[]> {
      first = Math.min(first, from)
      return super.read(from, limit)
    }
  }
  const rig = await openRig({ sign: (_, checkpoint) => Promise.resolve(sign(checkpoint)), wrap: (ledger) => new Counting(ledger) })
  const instance = newInstance()
  const alice = await witnessNamed("alice")
  writeWitnesses(instance, "main", [alice.known])
  const cosigned = async (): Promise<void> => {
    const { note } = await rig.run(rig.loop.checkpoint())
    let outcomes: string[] = []
    void cosignNow(instance, "main", note, rig.loop.ledger, rig.loop.tree).then(({ answers }) => (outcomes = answers.map(({ outcome }) => outcome)))
    // The witness answers in its own time, the hub's pages come in the rig's.
    await vi.waitFor(async () => {
      await rig.clock.advance(10)
      expect(outcomes).toEqual(["cosigned"])
    }, 30_000)
  }
  await rig.tasks(...Array.from({ length: 1_200 }, (_, at) => `t${at}`))
  await cosigned()
  await rig.tasks("more")
  first = Infinity
  // The first checkpoint takes no proof.
  await cosigned()
  expect(first).toBe(1)
  await rig.tasks("yet-more")
  first = Infinity
  await cosigned()
  expect(first).toBeGreaterThan(512)
})
