import fc from "fast-check"
import { describe, expect, it } from "vitest"
import {
  NoteInvalid,
  addSignatures,
  cosign,
  formatNote,
  formatTreeHead,
  makeKey,
  openNote,
  parseNote,
  parseSigner,
  parseTreeHead,
  parseVerifier,
  signNote,
} from "./note.ts"

const reasonOf = (act: () => unknown): string | null => {
  try {
    act()
    return null
  } catch (error) {
    if (error instanceof NoteInvalid) return error.reason
    throw error
  }
}

describe("the published vectors", () => {
  it("Go's sumdb/note example: the same key and text give the very same note", () => {
    const signer = parseSigner("PRIVATE+KEY+PeterNeumann+c74f20a3+AYEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz")
    expect(signer.verifier.vkey).toBe("PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW")
    const text = "If you think cryptography is the answer to your problem,\nthen you don't know what your problem is.\n"
    expect(signNote(text, signer)).toBe(
      `${text}\n\u2014 PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n`,
    )
  })

  it("the example of c2sp.org/signed-note", () => {
    const verifier = parseVerifier("example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k")
    const note =
      "This is an example message.\n\n\u2014 example.com/foo Uw2QOkn8srV1yJGh2VYRlL1Tnagv1YEq6TfXppzi2ONncAlTgK7Ztg1ERYNZXsYjOBH3mFXmRKuwHjG1Yu72IneyaQM=\n"
    expect(openNote(note, [verifier]).text).toBe("This is an example message.\n")
    expect(reasonOf(() => openNote(note.replace("example m", "Example m"), [verifier]))).toBe("forged")
  })

  it("a checkpoint of a public log, cosigned by public witnesses, and one signature more than we know the kind of", () => {
    // The log "Arche2025h1" and its witnesses, May 2026.
    const note = `arche2025h1.staging.ct.transparency.dev
1432088532
U7WM79jrzyhGZ5/GUBTpM7NzwdyfFx61t3RovgcC4Ro=

\u2014 arche2025h1.staging.ct.transparency.dev zTM8sQAAAZ5W0WdjBAMARjBEAiBjW5IQf9pvsYLfQFX6hoGREPMHbdQ3urbllzalApkptQIgIpwtEroeW2BXaHAI4kJXFbon5Ch9MNL5zRNZ55lvGt0=
\u2014 arche2025h1.staging.ct.transparency.dev ui8GwCF1+kWqZrxGdhj4aX3gcw7XUlXQQabg/27lefwhUkzbC3NygNI75MdhL1bfTW9g8Ei59RA23oHP7Ry1k3ZFWwQ=
\u2014 remora.n621.de 2net5wAAAABqEiEgPlfF3V06o0Y+fHM+J5J9s27wgxxcOVSpZ/2g/KSiXCg9DEZI+aVCIobWX9sXTynk5XeU/zZ0WBxtqB0DrAWfBw==
\u2014 witness.stagemole.eu Z/euoAAAAABqEiEgw0i+7g2ENfDAWHmtRzCfKTHSDwYDJA2NmKeGi9Y8FtEyOUvVr+AJmIY/2TUFucgKi7lI7cUiOvKFYe/TmN9DAg==
`
    const verifiers = [
      "arche2025h1.staging.ct.transparency.dev+ba2f06c0+AU0vHmlGCS/PdN8b2OaGmKprLI8HKM+dJ472xgFYh15f",
      "remora.n621.de+da77ade7+BOvN63jn/bLvkieywe8R6UYAtVtNbZpXh34x7onlmtw2",
      "witness.stagemole.eu+67f7aea0+BEqSG3yu9YrmcM3BHvQYTxwFj3uSWakQepafafpUqklv",
    ].map(parseVerifier)
    const { text, verified } = openNote(note, verifiers)
    expect(parseTreeHead(text)).toMatchObject({ origin: "arche2025h1.staging.ct.transparency.dev", size: 1_432_088_532 })
    expect(verified.map(({ verifier, atMs }) => [verifier.kind, atMs])).toEqual([
      ["log", null],
      ["witness", 1_779_573_024_000],
      ["witness", 1_779_573_024_000],
    ])
    expect(formatNote(parseNote(note))).toBe(note)
    for (const verifier of verifiers) expect(reasonOf(() => openNote(note.replace("1432088532", "1432088533"), [verifier]))).toBe("forged")
  })
})

const LOG = makeKey("log", "skein/test", Buffer.alloc(32, 1))
const WITNESS = makeKey("witness", "witness.example/w1", Buffer.alloc(32, 2))
const HEAD = { origin: "skein/test", size: 7, root: Buffer.alloc(32, 3) }

describe("a checkpoint", () => {
  const note = signNote(formatTreeHead(HEAD), parseSigner(LOG.skey))

  it("is read back as it was signed, and the cosignature says when", () => {
    const { text } = parseNote(note)
    const cosigned = addSignatures(note, [cosign(text, parseSigner(WITNESS.skey), 1_700_000_000_999)])
    const opened = openNote(cosigned, [parseVerifier(LOG.vkey), parseVerifier(WITNESS.vkey)])
    expect(parseTreeHead(opened.text)).toEqual(HEAD)
    expect(opened.verified.map(({ verifier, atMs }) => [verifier.name, atMs])).toEqual([
      ["skein/test", null],
      ["witness.example/w1", 1_700_000_000_000],
    ])
  })

  it("a newer cosignature of the same witness takes the older one's place", () => {
    const { text } = parseNote(note)
    const once = addSignatures(note, [cosign(text, parseSigner(WITNESS.skey), 1000)])
    const twice = addSignatures(once, [cosign(text, parseSigner(WITNESS.skey), 5000)])
    expect(parseNote(twice).signatures).toHaveLength(2)
    expect(openNote(twice, [parseVerifier(WITNESS.vkey)]).verified[0]?.atMs).toBe(5000)
  })

  it("an unknown key's signature is ignored; without a known one nothing is trusted", () => {
    const stranger = parseVerifier(makeKey("log", "stranger", Buffer.alloc(32, 9)).vkey)
    expect(reasonOf(() => openNote(note, [stranger]))).toBe("unsigned")
    expect(openNote(note, [stranger, parseVerifier(LOG.vkey)]).verified).toHaveLength(1)
  })

  it("a cosignature does not pass as the log's signature, nor with another time", () => {
    const { text } = parseNote(note)
    const signature = cosign(text, parseSigner(WITNESS.skey), 1_700_000_000_000)
    const later = { ...signature, bytes: Buffer.from(signature.bytes) }
    later.bytes[7]! ^= 1
    expect(reasonOf(() => openNote(formatNote({ text, signatures: [later] }), [parseVerifier(WITNESS.vkey)]))).toBe("forged")
    const short = { ...signature, bytes: signature.bytes.subarray(8) }
    expect(reasonOf(() => openNote(formatNote({ text, signatures: [short] }), [parseVerifier(WITNESS.vkey)]))).toBe("forged")
    const plain = parseNote(signNote(text, parseSigner(makeKey("log", "witness.example/w1", Buffer.alloc(32, 2)).skey))).signatures[0]!
    expect(reasonOf(() => openNote(formatNote({ text, signatures: [{ ...plain, id: signature.id }] }), [parseVerifier(WITNESS.vkey)]))).toBe("forged")
    expect(() => signNote(text, parseSigner(WITNESS.skey))).toThrow(RangeError)
    expect(() => cosign(text, parseSigner(LOG.skey), 0)).toThrow(RangeError)
  })

  it.each([
    ["", "an empty text"],
    ["a\n1\n", "two lines"],
    ["a\n01\nAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwM=\n", "a size with a leading zero"],
    ["a\n-1\nAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwM=\n", "a negative size"],
    ["a\n99999999999999999999\nAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwM=\n", "a size beyond exact integers"],
    ["\n1\nAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwM=\n", "no origin"],
    ["a\n1\nAwMD\n", "a short root"],
    ["a\n1\nAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwM\n", "a root without padding"],
    ["a\n1\nAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwM=", "no last newline"],
    ["a\n1\nAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwM=\n\nx\n", "an empty extension line"],
  ])("refuses %j: %s", (text) => {
    expect(reasonOf(() => parseTreeHead(text))).toBe("malformed")
  })
})

describe("malformed notes and keys", () => {
  it.each([
    ["no signatures", "text\n\n"],
    ["no blank line", "text\n\u2014 a AAAAAAAA\n"],
    ["no last newline", "text\n\n\u2014 a AAAAAAAA"],
    ["a control character", "te\u0007xt\n\n\u2014 a AAAAAAAA\n"],
    ["a plus in the name", "text\n\n\u2014 a+b AAAAAAAA\n"],
    ["a hyphen for the dash", "text\n\n- a AAAAAAAA\n"],
    ["loose base64", "text\n\n\u2014 a AAAAAAAA=\n"],
    ["too short a signature", "text\n\n\u2014 a AAAA\n"],
    ["too long", `${"x".repeat(70_000)}\n\n\u2014 a AAAAAAAA\n`],
  ])("a note with %s is refused", (_, note) => {
    expect(reasonOf(() => parseNote(note))).toBe("malformed")
  })

  it("no text whatever makes the readers fail in another way", () => {
    const line = fc.string({ unit: fc.constantFrom("\u2014", " ", "a", "+", "=", "\n", "A", "/", "0", "\u0000", "\u2028", "é"), maxLength: 60, size: "max" })
    fc.assert(
      fc.property(fc.oneof(line, fc.string()), (text) => {
        for (const read of [parseNote, parseTreeHead, parseVerifier, parseSigner, (each: string) => openNote(`x\n\n${each}`, [parseVerifier(LOG.vkey)])]) {
          expect(["malformed", "unsigned", "forged", null]).toContain(reasonOf(() => read(text)))
        }
      }),
      { numRuns: 500 },
    )
  })

  it("a key whose id does not fit is refused, and the message never holds the secret", () => {
    expect(reasonOf(() => parseVerifier(LOG.vkey.replace(/\+[0-9a-f]{8}\+/, "+00000000+")))).toBe("malformed")
    const spoilt = LOG.skey.replace(/\+[0-9a-f]{8}\+/, "+00000000+")
    expect(() => parseSigner(spoilt)).toThrow(/^the signing key of skein\/test does not fit its id$/)
    expect(() => parseSigner("AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEB")).toThrow(/^this is no signing key$/)
    expect(() => makeKey("log", "two words", Buffer.alloc(32))).toThrow(RangeError)
    expect(() => makeKey("log", "a+b", Buffer.alloc(32))).toThrow(RangeError)
  })
})
