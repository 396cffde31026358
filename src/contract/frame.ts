import { randomFillSync } from "node:crypto"

/**
 * Text messages as they go over a WebSocket, RFC 6455, 5.2: one frame, one buffer and so one write, where `ws` writes head and text by themselves. A frame may be
 * written to the socket beside what `ws` sends: without compression `ws` keeps nothing back.
 */

const FINAL_TEXT = 0x81
const MASKED = 0x80
/** The values of the seven bits of length that say where the length stands. */
export const LENGTH_16 = 126
export const LENGTH_64 = 127
const KEY_BYTES = 4
const KEYS_BYTES = 8 * 1024

/** A whole text message as it goes to a client: unmasked. */
export function textFrame(text: string): Buffer {
  return frameOf(text, 0)
}

/** `textFrame` for a text that is ASCII: as characters that are its bytes, to be written as `latin1`. Or null. It saves the buffer. */
export function asciiFrame(text: string): string | null {
  const { length } = text
  if (length >= 65_536) return null
  const head = length < LENGTH_16 ? String.fromCharCode(FINAL_TEXT, length) : String.fromCharCode(FINAL_TEXT, LENGTH_16, length >> 8, length & 255)
  const frame = head + text
  // Asked of the whole frame, whose parts V8 then puts together once, for the write too. Of the head, the first character and halves of the length from 128 on take two bytes in UTF-8.
  const twoBytes = 1 + (length >> 15) + ((length >> 7) & 1)
  return Buffer.byteLength(frame) === frame.length + twoBytes ? frame : null
}

/** A whole text message as it goes to a hub: masked with a key that nobody can foresee, RFC 6455, 5.3. */
export function maskedFrame(text: string): Buffer {
  const frame = frameOf(text, KEY_BYTES)
  const from = (frame[1] === (MASKED | LENGTH_16) ? 4 : frame[1] === (MASKED | LENGTH_64) ? 10 : 2) + KEY_BYTES
  drawKey(frame, from - KEY_BYTES)
  mask(frame, from, frame.length)
  return frame
}

/** Masks or unmasks the bytes from `from` to `end` in place, with the key that stands before them; answers all of their bits together: below 0x80 they are ASCII now. */
export function mask(bytes: Buffer, from: number, end: number): number {
  const [a, b, c, d] = [bytes[from - 4] as number, bytes[from - 3] as number, bytes[from - 2] as number, bytes[from - 1] as number]
  let seen = 0
  let at = from
  // Four at a time: half of the instructions.
  for (; at + 3 < end; at += 4) {
    seen |= bytes[at] = (bytes[at] as number) ^ a
    seen |= bytes[at + 1] = (bytes[at + 1] as number) ^ b
    seen |= bytes[at + 2] = (bytes[at + 2] as number) ^ c
    seen |= bytes[at + 3] = (bytes[at + 3] as number) ^ d
  }
  for (; at < end; at += 1) seen |= bytes[at] = (bytes[at] as number) ^ (bytes[from - 4 + ((at - from) & 3)] as number)
  return seen
}

/** The frame, with room for a key of so many bytes: 4 or none. */
function frameOf(text: string, keyBytes: number): Buffer {
  const length = Buffer.byteLength(text)
  const head = length < LENGTH_16 ? 2 : length < 65_536 ? 4 : 10
  const frame = Buffer.allocUnsafe(head + keyBytes + length)
  frame[0] = FINAL_TEXT
  frame[1] = (keyBytes === 0 ? 0 : MASKED) | (head === 2 ? length : head === 4 ? LENGTH_16 : LENGTH_64)
  if (head === 4) frame.writeUInt16BE(length, 2)
  else if (head === 10) frame.writeBigUInt64BE(BigInt(length), 2)
  frame.write(text, head + keyBytes)
  return frame
}

/** Keys that are drawn and not used yet: to draw them one by one costs a call into OpenSSL each. */
const keys = Buffer.alloc(KEYS_BYTES)
let used = KEYS_BYTES

function drawKey(frame: Buffer, at: number): void {
  if (used === KEYS_BYTES) {
    randomFillSync(keys)
    used = 0
  }
  // `copy` costs as much for four bytes as to mask fifty.
  for (let byte = 0; byte < KEY_BYTES; byte += 1) frame[at + byte] = keys[used + byte] as number
  used += KEY_BYTES
}
