import { hash } from "node:crypto"
import { describe, expect, it } from "vitest"
import { EntryHasher, fromHex, toHex } from "./hash.ts"
import { Frontier, consistencyPath, inclusionPath, verifyConsistency, verifyInclusion } from "./merkle.ts"

const sha256 = (bytes: Uint8Array): Uint8Array => Buffer.from(hash("sha256", bytes, "binary"), "latin1")
const hasher = new EntryHasher(sha256)

/** The definitions of RFC 6962, section 2.1, word for word and as slow as they are. */
function split(n: number): number {
  let k = 1
  while (k * 2 < n) k *= 2
  return k
}
function treeHash(leaves: Uint8Array[]): Uint8Array {
  if (leaves.length === 0) return sha256(new Uint8Array())
  if (leaves.length === 1) return leaves[0]!
  const k = split(leaves.length)
  return sha256(Buffer.concat([Buffer.of(1), treeHash(leaves.slice(0, k)), treeHash(leaves.slice(k))]))
}
function auditPath(m: number, leaves: Uint8Array[]): Uint8Array[] {
  if (leaves.length === 1) return []
  const k = split(leaves.length)
  return m < k ? [...auditPath(m, leaves.slice(0, k)), treeHash(leaves.slice(k))] : [...auditPath(m - k, leaves.slice(k)), treeHash(leaves.slice(0, k))]
}
function consistencyProof(m: number, leaves: Uint8Array[], whole = true): Uint8Array[] {
  if (m === leaves.length) return whole ? [] : [treeHash(leaves)]
  const k = split(leaves.length)
  if (m <= k) return [...consistencyProof(m, leaves.slice(0, k), whole), treeHash(leaves.slice(k))]
  return [...consistencyProof(m - k, leaves.slice(k), false), treeHash(leaves.slice(0, k))]
}

function frontierOf(leaves: readonly Uint8Array[]): Frontier {
  const frontier = new Frontier(hasher)
  for (const leaf of leaves) frontier.append(leaf)
  return frontier
}
function provePath(path: ReturnType<typeof inclusionPath>, leaves: readonly Uint8Array[]): Uint8Array[] {
  return path.map(({ start, end }) => frontierOf(leaves.slice(start, end)).root())
}
const hexes = (hashes: readonly Uint8Array[]): string[] => hashes.map(toHex)
function flipped(hash: Uint8Array): Uint8Array {
  const copy = Uint8Array.from(hash)
  copy[7]! ^= 1
  return copy
}

const MOST = 130
const entryLeaves = Array.from({ length: MOST }, (_, i) => hasher.leaf(`entry ${i}`))
const entryRoots = Array.from({ length: MOST + 1 }, (_, n) => treeHash(entryLeaves.slice(0, n)))

describe("the reference vectors of certificate transparency", () => {
  // The eight leaves and their roots that the C++ and Go implementations of Certificate Transparency are tested with.
  const leaves = ["", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f"].map((hex) =>
    sha256(Buffer.concat([Buffer.of(0), fromHex(hex)])),
  )
  const roots = [
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
  ]

  it("the root of no leaves is the hash of nothing", () => {
    expect(toHex(new Frontier(hasher).root())).toBe("e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855")
  })

  it("leaves and nodes are hashed in their own domains", () => {
    expect(toHex(hasher.leaf(""))).toBe("6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d")
    expect(toHex(hasher.leaf("L123456"))).toBe("395aa064aa4c29f7010acfe3f25db9485bbd4b91897b6ad7ad547639252b4d56")
    const node = sha256(Buffer.from("\x01N123N456"))
    expect(toHex(node)).toBe("aa217fe888e47007fa15edab33c2b492a722cb106c64667fc2b044444de66bbb")
  })

  it("each of the first eight roots is the published one", () => {
    expect(roots.map((_, i) => toHex(frontierOf(leaves.slice(0, i + 1)).root()))).toEqual(roots)
  })

  it("the published inclusion and consistency proofs are made and accepted", () => {
    const inclusion = provePath(inclusionPath(5, 8), leaves)
    expect(hexes(inclusion)).toEqual([
      "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
      "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
      "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    ])
    expect(verifyInclusion(hasher, 5, 8, leaves[5]!, inclusion, fromHex(roots[7]!))).toBe(true)
    const consistency = provePath(consistencyPath(6, 8), leaves)
    expect(hexes(consistency)).toEqual([
      "0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a",
      "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
      "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    ])
    expect(verifyConsistency(hasher, 6, 8, fromHex(roots[5]!), fromHex(roots[7]!), consistency)).toBe(true)
    expect(hexes(provePath(consistencyPath(2, 5), leaves))).toEqual([
      "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
      "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
    ])
  })
})

describe(`every tree of up to ${MOST} leaves`, () => {
  it("has the root that RFC 6962 defines, from the frontier and from the frontier's record", () => {
    const frontier = new Frontier(hasher)
    for (let n = 0; n <= MOST; n++) {
      expect(toHex(frontier.root())).toBe(toHex(entryRoots[n]!))
      const again = Frontier.from(hasher, JSON.parse(JSON.stringify(frontier.record())))
      expect(toHex(again.root())).toBe(toHex(entryRoots[n]!))
      if (n < MOST) frontier.append(entryLeaves[n]!)
    }
  })

  it("proves each of its leaves, and that proof fits no other leaf, index or root", () => {
    for (let n = 1; n <= MOST; n++) {
      const root = entryRoots[n]!
      for (let m = 0; m < n; m++) {
        const leaf = entryLeaves[m]!
        const proof = provePath(inclusionPath(m, n), entryLeaves)
        if (n % 16 === 5) expect(hexes(proof)).toEqual(hexes(auditPath(m, entryLeaves.slice(0, n))))
        const accepted = verifyInclusion(hasher, m, n, leaf, proof, root)
        const forged =
          verifyInclusion(hasher, m, n, flipped(leaf), proof, root) ||
          verifyInclusion(hasher, m, n, leaf, proof, flipped(root)) ||
          verifyInclusion(hasher, (m + 1) % n, n, leaf, proof, root) !== (n === 1) ||
          verifyInclusion(hasher, m, n, leaf, [...proof, leaf], root) ||
          (proof.length > 0 && verifyInclusion(hasher, m, n, leaf, proof.slice(1), root))
        if (!accepted || forged) expect.fail(`leaf ${m} of ${n}: accepted ${accepted}, a forgery accepted ${forged}`)
      }
    }
  })

  it("proves that it begins each later tree, and that proof fits no other pair of roots", () => {
    for (let n = 1; n <= MOST; n++) {
      for (let m = 1; m <= n; m++) {
        const older = entryRoots[m]!
        const newer = entryRoots[n]!
        const proof = provePath(consistencyPath(m, n), entryLeaves)
        if (n % 16 === 5) expect(hexes(proof)).toEqual(hexes(consistencyProof(m, entryLeaves.slice(0, n))))
        const accepted = verifyConsistency(hasher, m, n, older, newer, proof)
        const forged =
          verifyConsistency(hasher, m, n, flipped(older), newer, proof) ||
          verifyConsistency(hasher, m, n, older, flipped(newer), proof) ||
          verifyConsistency(hasher, m, n, older, newer, [...proof, older]) ||
          (m < n && verifyConsistency(hasher, m, n, older, newer, proof.slice(1))) ||
          (m < n && verifyConsistency(hasher, m, n, older, newer, []))
        if (!accepted || forged) expect.fail(`${m} of ${n}: accepted ${accepted}, a forgery accepted ${forged}`)
      }
    }
  })
})

describe("tree sizes beyond 32 bits", () => {
  it("an inclusion proof of a huge tree has one step a level and is checked without overflow", () => {
    const size = 2 ** 40 + 3
    expect(inclusionPath(2 ** 39, size)).toHaveLength(41)
    const proof = Array.from({ length: 41 }, (_, i) => sha256(Buffer.of(i)))
    let root = entryLeaves[0]!
    // Leaf 2^39: its lower 39 bits are 0, then one 1, then the right edge.
    for (let i = 0; i < 39; i++) root = hasher.node(root, proof[i]!)
    root = hasher.node(hasher.node(proof[39]!, root), proof[40]!)
    expect(verifyInclusion(hasher, 2 ** 39, size, entryLeaves[0]!, proof, root)).toBe(true)
    expect(verifyInclusion(hasher, 2 ** 39 + 1, size, entryLeaves[0]!, proof, root)).toBe(false)
  })
})
