/** SHA-256 (FIPS 180-4). The browser's own is asynchronous, and is not there at all on plain http from another machine. */

const ROUNDS = 64
const K = new Uint32Array(ROUNDS)
const START = new Uint32Array(8)

// The constants are the first 32 bits of the fractions of the cube roots and square roots of the first primes: whole numbers alone find them exactly.
for (let prime = 2n, found = 0; found < ROUNDS; prime += 1n) {
  if (!isPrime(prime)) continue
  if (found < 8) START[found] = Number(BigInt.asUintN(32, root(prime << 64n, 2n)))
  K[found] = Number(BigInt.asUintN(32, root(prime << 96n, 3n)))
  found += 1
}

const words = new Uint32Array(ROUNDS)
const hash = new Uint32Array(8)

/** The hash of some bytes: 32 bytes that nobody writes to again. */
export function sha256(bytes: Uint8Array): Uint8Array {
  const { length } = bytes
  const blocks = Math.floor((length + 8) / 64) + 1
  const last = new Uint8Array(128)
  const whole = Math.floor(length / 64) * 64
  last.set(bytes.subarray(whole))
  last[length - whole] = 0x80
  const end = blocks * 64 - whole
  const view = new DataView(last.buffer)
  view.setUint32(end - 8, Math.floor(length / 0x2000_0000))
  view.setUint32(end - 4, length << 3)
  hash.set(START)
  const body = new DataView(bytes.buffer, bytes.byteOffset, length)
  for (let at = 0; at < whole; at += 64) block(body, at)
  for (let at = 0; at < end; at += 64) block(view, at)
  const result = new DataView(new ArrayBuffer(32))
  for (let at = 0; at < 8; at += 1) result.setUint32(4 * at, hash[at]!)
  return new Uint8Array(result.buffer)
}

function block(view: DataView, at: number): void {
  for (let t = 0; t < 16; t += 1) words[t] = view.getUint32(at + 4 * t)
  for (let t = 16; t < ROUNDS; t += 1) {
    const w15 = words[t - 15]!
    const w2 = words[t - 2]!
    const s0 = ((w15 >>> 7) | (w15 << 25)) ^ ((w15 >>> 18) | (w15 << 14)) ^ (w15 >>> 3)
    const s1 = ((w2 >>> 17) | (w2 << 15)) ^ ((w2 >>> 19) | (w2 << 13)) ^ (w2 >>> 10)
    words[t] = words[t - 16]! + s0 + words[t - 7]! + s1
  }
  let [a, b, c, d, e, f, g, h] = hash as unknown as [number, number, number, number, number, number, number, number]
  for (let t = 0; t < ROUNDS; t += 1) {
    const s1 = ((e >>> 6) | (e << 26)) ^ ((e >>> 11) | (e << 21)) ^ ((e >>> 25) | (e << 7))
    const one = (h + s1 + ((e & f) ^ (~e & g)) + K[t]! + words[t]!) | 0
    const s0 = ((a >>> 2) | (a << 30)) ^ ((a >>> 13) | (a << 19)) ^ ((a >>> 22) | (a << 10))
    const two = (s0 + ((a & b) ^ (a & c) ^ (b & c))) | 0
    h = g
    g = f
    f = e
    e = (d + one) | 0
    d = c
    c = b
    b = a
    a = (one + two) | 0
  }
  hash[0]! += a
  hash[1]! += b
  hash[2]! += c
  hash[3]! += d
  hash[4]! += e
  hash[5]! += f
  hash[6]! += g
  hash[7]! += h
}

function isPrime(value: bigint): boolean {
  for (let by = 2n; by * by <= value; by += 1n) if (value % by === 0n) return false
  return true
}

/** The largest whole number whose power is at most `value`, by Newton's method from above. */
function root(value: bigint, power: bigint): bigint {
  let guess = 1n << (BigInt(value.toString(2).length) / power + 1n)
  for (;;) {
    const next = ((power - 1n) * guess + value / guess ** (power - 1n)) / power
    if (next >= guess) return guess
    guess = next
  }
}
