import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs"
import { createServer, request as httpRequest } from "node:http"
import type { AddressInfo } from "node:net"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterEach, beforeEach, describe, expect, it } from "vitest"
import { Chain } from "../core/chain.ts"
import { toHex } from "../core/hash.ts"
import { makeEntries } from "../../test/ledger-entries.ts"
import { MemoryStore, type MemoryLedger } from "./memory.ts"
import { formatTreeHead, makeKey, openNote, parseSigner, parseVerifier, signNote } from "./note.ts"
import { proveConsistency } from "./proof.ts"
import { sha256 } from "./sha256.ts"
import { formatRequest, parseRequest, requestCosignature, serveWitness, type ServedWitness } from "./witness-http.ts"
import { Witness, readWitnessState } from "./witness.ts"

const LOG = makeKey("log", "skein/main", Buffer.alloc(32, 1))
const OTHER = makeKey("log", "skein/other", Buffer.alloc(32, 4))
const KEY = makeKey("witness", "witness.example/w1", Buffer.alloc(32, 2))
const witnessKey = parseVerifier(KEY.vkey)
const NOW = 1_700_000_000_000

/** A log with one history: its ledger, and a signed checkpoint at each size. */
async function logOf(
  size: number,
  text: (seq: number) => string = (seq) => `entry ${seq}`,
): Promise<{ ledger: MemoryLedger; note(size: number): string; root(size: number): Uint8Array }> {
  const ledger = new MemoryStore().open()
  const chain = new Chain(sha256)
  const roots = [chain.root()]
  for (let i = 0; i < size; i++) {
    await ledger.append(i, makeEntries(chain, 1, text))
    chain.commit()
    roots.push(chain.root())
  }
  return {
    ledger,
    root: (at) => roots[at]!,
    note: (at) => signNote(formatTreeHead({ origin: "skein/main", size: at, root: roots[at]! }), parseSigner(LOG.skey)),
  }
}

describe("a witness", () => {
  let folder: string
  let path: string
  let witness: Witness
  const open = (): Witness => new Witness(path, parseSigner(KEY.skey), () => NOW)
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), "skein-witness-"))
    path = join(folder, "state", "witness.json")
    witness = open()
    witness.watch(LOG.vkey)
  })
  afterEach(() => {
    witness.close()
    rmSync(folder, { recursive: true, force: true })
  })

  it("cosigns a log that grows, and what it saw is on disk before it answers", async () => {
    const { ledger, note, root } = await logOf(20)
    let old = 0
    for (const size of [0, 1, 7, 7, 20]) {
      const answer = witness.add(old, await proveConsistency(ledger, old, size), note(size))
      expect(answer.status).toBe(200)
      expect(readWitnessState(path).logs["skein/main"]?.last).toMatchObject({ size, root: toHex(root(size)) })
      const kept = readWitnessState(path).logs["skein/main"]!.last!.note
      expect(openNote(kept, [witnessKey]).verified[0]?.atMs).toBe(NOW)
      old = size
    }
    expect((statSync(path).mode & 0o777).toString(8)).toBe("600")
  })

  it("has not seen what its disk refused to keep", async () => {
    const { ledger, note } = await logOf(7)
    expect(witness.add(0, [], note(3)).status).toBe(200)
    // Where the text is first written a folder stands.
    mkdirSync(`${path}.${process.pid}`)
    const proof = await proveConsistency(ledger, 3, 7)
    expect(() => witness.add(3, proof, note(7))).toThrow()
    rmSync(`${path}.${process.pid}`, { recursive: true, force: true })
    expect(witness.add(0, [], note(7))).toEqual({ status: 409, size: 3 })
    expect(witness.add(3, proof, note(7)).status).toBe(200)
  })

  it("answers a stale request with the size it knows, and changes nothing", async () => {
    const { ledger, note } = await logOf(20)
    witness.add(0, [], note(10))
    const before = readFileSync(path, "utf8")
    expect(witness.add(0, [], note(20))).toEqual({ status: 409, size: 10 })
    expect(witness.add(5, await proveConsistency(ledger, 5, 20), note(20))).toEqual({ status: 409, size: 10 })
    expect(witness.add(0, [], note(5))).toEqual({ status: 409, size: 10 })
    expect(readFileSync(path, "utf8")).toBe(before)
  })

  it("refuses a fork at the same size for ever, says so, and keeps both signed checkpoints as evidence", async () => {
    const [honest, forked] = [await logOf(20), await logOf(20, (seq) => (seq === 3 ? "another past" : `entry ${seq}`))]
    witness.add(0, [], honest.note(10))
    for (let start = 0; start < 2; start++) {
      const refused = witness.add(10, [], forked.note(10))
      expect(refused).toMatchObject({ status: 422, offence: "fork", reason: expect.stringMatching(/^fork: another root/) as string })
      witness.close()
      witness = open()
    }
    const { convictions, last } = witness.state.logs["skein/main"]!
    expect(convictions).toHaveLength(1)
    const log = [parseVerifier(LOG.vkey)]
    expect(openNote(convictions[0]!.presented, log).text).toBe(openNote(forked.note(10), log).text)
    expect(openNote(convictions[0]!.cosigned, log).text).toBe(openNote(honest.note(10), log).text)
    expect(last?.size).toBe(10)
    expect(witness.add(10, await proveConsistency(honest.ledger, 10, 20), honest.note(20)).status).toBe(200)
  })

  it("refuses a fork that has grown, whatever proof comes with it", async () => {
    const [honest, forked] = [await logOf(20), await logOf(20, (seq) => (seq === 3 ? "another past" : `entry ${seq}`))]
    witness.add(0, [], honest.note(10))
    for (const proof of [await proveConsistency(forked.ledger, 10, 20), await proveConsistency(honest.ledger, 10, 20), []]) {
      expect(witness.add(10, proof, forked.note(20))).toMatchObject({ status: 422, offence: "fork" })
    }
    expect(witness.state.logs["skein/main"]?.last?.size).toBe(10)
  })

  it("refuses a rollback for ever and says so", async () => {
    const { ledger, note } = await logOf(20)
    witness.add(0, [], note(10))
    for (let start = 0; start < 2; start++) {
      expect(witness.add(10, [], note(6))).toMatchObject({ status: 400, offence: "rollback", reason: expect.stringMatching(/^rollback: 10 entries/) as string })
      witness.close()
      witness = open()
    }
    expect(witness.add(10, await proveConsistency(ledger, 10, 20), note(20)).status).toBe(200)
  })

  it("answers as c2sp.org/tlog-witness says to what is malformed, unknown, unsigned, forged or wrongly proven", async () => {
    const { ledger, note, root } = await logOf(9)
    const foreign = signNote(formatTreeHead({ origin: "skein/main", size: 3, root: root(3) }), parseSigner(OTHER.skey))
    const unknown = signNote(formatTreeHead({ origin: "skein/other", size: 3, root: root(3) }), parseSigner(OTHER.skey))
    const odd = signNote(formatTreeHead({ origin: "skein/main", size: 0, root: root(3) }), parseSigner(LOG.skey))
    expect(witness.add(0, [], "nonsense").status).toBe(400)
    expect(witness.add(0, [], unknown).status).toBe(404)
    expect(witness.add(0, [], unknown.replace("skein/other", "constructor")).status).toBe(404)
    expect(witness.add(0, [], foreign).status).toBe(403)
    expect(witness.add(0, [], note(3).replace("\n3\n", "\n4\n")).status).toBe(403)
    expect(witness.add(7, [], note(3)).status).toBe(400)
    // Nothing was seen yet that it could be a fork of.
    for (const [proof, given] of [[[root(1)], note(3)] as const, [[], odd] as const])
      expect(witness.add(0, proof, given)).toMatchObject({ status: 422, offence: null, reason: expect.stringMatching(/^from nothing/) as string })
    expect(witness.state.logs["skein/main"]?.last).toBe(null)
    expect(witness.add(0, [], note(3)).status).toBe(200)
    expect(witness.add(3, [...(await proveConsistency(ledger, 3, 9)), root(1)], note(9)).status).toBe(422)
  })

  it("is one process: a second is told who has it; a damaged state is refused, not begun anew", () => {
    witness.announce("http://127.0.0.1:1")
    expect(open).toThrow(`in use by process ${process.pid} at http://127.0.0.1:1`)
    witness.close()
    writeFileSync(path, "{")
    expect(open).toThrow(expect.objectContaining({ code: "damaged" }) as Error)
    rmSync(path)
    witness = open()
    expect(existsSync(`${path}.owner`)).toBe(true)
  })

  describe("served over HTTP", () => {
    let served: ServedWitness
    beforeEach(async () => (served = await serveWitness({ witness })))
    afterEach(() => served.close())
    const send = (method: string, target: string, body = ""): Promise<{ status: number; type: string; body: string }> =>
      new Promise((resolve, reject) => {
        const request = httpRequest(served.url + target, { method }, (response) => {
          const chunks: Buffer[] = []
          response.on("data", (chunk: Buffer) => chunks.push(chunk))
          response.on("end", () => resolve({ status: response.statusCode!, type: response.headers["content-type"]!, body: Buffer.concat(chunks).toString() }))
        })
        request.on("error", reject).end(body)
      })

    it("a log that asks gets its cosignature, whatever size the witness knew, and anybody can read the checkpoint", async () => {
      const { ledger, note } = await logOf(20)
      for (const size of [4, 9, 9, 20]) {
        const asked = await requestCosignature({ url: served.url, witness: witnessKey, note: note(size), ledger })
        expect(asked.outcome).toBe("cosigned")
        expect(asked.outcome === "cosigned" && openNote(asked.note, [witnessKey, parseVerifier(LOG.vkey)]).verified).toHaveLength(2)
      }
      const published = await send("GET", `/${toHex(sha256(Buffer.from("skein/main")))}/checkpoint`)
      expect(published.status).toBe(200)
      expect(openNote(published.body, [witnessKey]).text).toContain("\n20\n")
      expect((await send("GET", `/${"0".repeat(64)}/checkpoint`)).status).toBe(404)
    })

    it("a log restored from an old copy learns that it was rolled back, and once it has grown anew, that it is a fork", async () => {
      const [before, after] = [await logOf(12), await logOf(20, (seq) => (seq > 8 ? `anew ${seq}` : `entry ${seq}`))]
      await requestCosignature({ url: served.url, witness: witnessKey, note: before.note(12), ledger: before.ledger })
      const restored = await logOf(8)
      for (const old of [0, 12]) {
        const rolledBack = await requestCosignature({ url: served.url, witness: witnessKey, note: restored.note(8), ledger: restored.ledger, old })
        expect(rolledBack).toMatchObject({ outcome: "refused", offence: "rollback" })
      }
      expect(await requestCosignature({ url: served.url, witness: witnessKey, note: after.note(12), ledger: after.ledger })).toMatchObject({
        outcome: "refused",
        offence: "fork",
      })
      expect(await requestCosignature({ url: served.url, witness: witnessKey, note: after.note(20), ledger: after.ledger })).toMatchObject({
        outcome: "refused",
        offence: "fork",
      })
    })

    it("an answer that the witness did not sign is refused, and one that is not there may come later", async () => {
      const { ledger, note } = await logOf(4)
      const impostor = parseVerifier(makeKey("witness", "witness.example/w1", Buffer.alloc(32, 9)).vkey)
      expect(await requestCosignature({ url: served.url, witness: impostor, note: note(4), ledger })).toMatchObject({ outcome: "refused", offence: null })
      await served.close()
      expect(await requestCosignature({ url: served.url, witness: witnessKey, note: note(4), ledger })).toMatchObject({ outcome: "unreachable" })
      const said = (status: number): Promise<unknown> =>
        requestCosignature({ url: "http://w", witness: witnessKey, note: note(4), ledger, post: async () => ({ status, body: "\u001b[31mbusy\n" }) })
      for (const status of [429, 500, 503]) expect(await said(status)).toEqual({ outcome: "unreachable", reason: "[31mbusy" })
      expect(await said(400)).toEqual({ outcome: "refused", offence: null, reason: "[31mbusy" })
    })

    it("one that says another size each time is given up, and has had the ledger read once", async () => {
      const { ledger, note } = await logOf(600)
      let entries = 0
      const counted = { read: (from: number, limit: number) => ((entries += limit), ledger.read(from, limit)) }
      let size = 400
      const post = async (): Promise<{ status: number; body: string }> => ({ status: 409, body: `${(size -= 1)}\n` })
      const asked = await requestCosignature({ url: "http://w", witness: witnessKey, note: note(600), ledger: counted, post })
      expect(asked).toMatchObject({ outcome: "unreachable", reason: expect.stringContaining("another size each time") as string })
      expect(entries).toBeLessThan(600 + 4 * 512)
    })

    it("answers stale and malformed requests as the protocol says", async () => {
      const { note } = await logOf(4)
      await send("POST", "/add-checkpoint", formatRequest(0, [], note(4)))
      expect(await send("POST", "/add-checkpoint", formatRequest(2, [], note(4)))).toEqual({ status: 409, type: "text/x.tlog.size", body: "4\n" })
      for (const body of [
        "",
        "old 4",
        "old 04\n\nx",
        "old -1\n\nx",
        "old 4\nAAAA\n\nx",
        "old 99999999999999999999\n\nx",
        `old 0\n${`${"A".repeat(43)}=\n`.repeat(64)}\nx`,
      ]) {
        expect((await send("POST", "/add-checkpoint", body)).status, JSON.stringify(body.slice(0, 40))).toBe(400)
      }
      expect((await send("POST", "/add-checkpoint", "x".repeat(90_000))).status).toBe(413)
      expect((await send("POST", "/elsewhere", "")).status).toBe(404)
      expect((await send("PUT", "/add-checkpoint", "")).status).toBe(404)
    })
  })
})

describe("a request to a witness", () => {
  it("reads no more of an answer than one can be long, though it has no end", async () => {
    const { ledger, note } = await logOf(3)
    let sent = 0
    const endless = createServer((_, response) => {
      const more = (): void => {
        while (!response.destroyed && sent < 200_000_000) {
          sent += 100_000
          if (!response.write("x".repeat(100_000))) return void response.once("drain", more)
        }
        response.end()
      }
      more()
    }).listen(0, "127.0.0.1")
    await new Promise((settle) => endless.once("listening", settle))
    const url = `http://127.0.0.1:${(endless.address() as AddressInfo).port}`
    expect(await requestCosignature({ url, witness: witnessKey, note: note(3), ledger })).toMatchObject({ outcome: "refused", offence: null })
    expect(sent).toBeLessThan(50_000_000)
    endless.closeAllConnections()
    endless.close()
  })

  it("is read back as it was written, also the example of c2sp.org/tlog-witness", () => {
    const proof = [Buffer.alloc(32, 1), Buffer.alloc(32, 2)]
    expect(parseRequest(formatRequest(7, proof, "origin\n9\nroot\n\nsignature\n"))).toEqual({ old: 7, proof, note: "origin\n9\nroot\n\nsignature\n" })
    const example = parseRequest(`old 20852014
PlRNCrwHpqhGrupue0L7gxbjbMiKA9temvuZZDDpkaw=
jrJZDmY8Y7SyJE0MWLpLozkIVMSMZcD5kvuKxPC3swk=
5+pKlUdi2LeF/BcMHBn+Ku6yhPGNCswZZD1X/6QgPd8=
/6WVhPs2CwSsb5rYBH5cjHV/wSmA79abXAwhXw3Kj/0=

example.com/behind-the-sofa
20852163
CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=

\u2014 example.com/behind-the-sofa Az3grlgtzPICa5OS8npVmf1Myq/5IZniMp+ZJurmRDeOoRDe4URYN7u5/Zhcyv2q1gGzGku9nTo+zyWE+xeMcTOAYQ8=
`)
    expect(example).toMatchObject({ old: 20_852_014, proof: { length: 4 } })
  })
})
