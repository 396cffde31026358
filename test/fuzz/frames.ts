import type { Choices } from "./choices.ts"

/** WebSocket frames as bytes (RFC 6455), right and wrong. */

export type Received = { opcode: number; final: boolean; masked: boolean; payload: Buffer }

const TEXT = 1
const CLOSE = 8
const MASK = Buffer.from([0x11, 0x22, 0x33, 0x44])

export function frame(payload: Buffer, { opcode = TEXT, final = true, masked = true, reserved = 0 } = {}): Buffer {
  const head = Buffer.alloc(payload.length < 126 ? 2 : payload.length < 65_536 ? 4 : 10)
  head[0] = (final ? 0x80 : 0) | (reserved << 4) | opcode
  if (head.length === 2) head[1] = payload.length
  else if (head.length === 4) {
    head[1] = 126
    head.writeUInt16BE(payload.length, 2)
  } else {
    head[1] = 127
    head.writeBigUInt64BE(BigInt(payload.length), 2)
  }
  if (!masked) return Buffer.concat([head, payload])
  head[1] |= 0x80
  const body = Buffer.from(payload)
  for (let at = 0; at < body.length; at += 1) body[at] = (body[at] as number) ^ (MASK[at & 3] as number)
  return Buffer.concat([head, MASK, body])
}

/** A text in one frame, or in several with pings between, as the protocol allows. */
export function textFrames(payload: Buffer, choices: Choices): Buffer {
  if (!choices.chance(25) || payload.length < 2) return frame(payload)
  const at = choices.between(1, payload.length - 1)
  const ping = choices.chance(30) ? frame(Buffer.from("ping"), { opcode: 9 }) : Buffer.alloc(0)
  return Buffer.concat([frame(payload.subarray(0, at), { final: false }), ping, frame(payload.subarray(at), { opcode: 0 })])
}

/** What breaks the protocol. `stuck`: the hub may rightly wait for more. */
export function wrongFrame(choices: Choices): { bytes: Buffer; stuck: boolean } {
  const payload = Buffer.from('{"id":1,"op":"ledger.head"}')
  switch (choices.below(11)) {
    case 0:
      return { bytes: frame(payload, { opcode: 2 }), stuck: false }
    case 1:
      return { bytes: frame(payload, { masked: false }), stuck: true }
    case 2:
      return { bytes: frame(payload, { reserved: choices.between(1, 7) }), stuck: false }
    case 3:
      return { bytes: frame(payload, { opcode: choices.between(3, 15) }), stuck: true }
    case 4:
      return { bytes: frame(payload, { opcode: 0 }), stuck: false }
    case 5:
      return { bytes: frame(choices.bytes(choices.pick([0, 1, 2, 125, 126, 200])), { opcode: choices.pick([8, 9, 10]) }), stuck: true }
    case 6: {
      const close = Buffer.alloc(2)
      close.writeUInt16BE(choices.pick([0, 999, 1_000, 1_004, 1_005, 1_006, 1_015, 2_999, 4_401, 5_000, 65_535]))
      return { bytes: frame(Buffer.concat([close, choices.bytes(choices.below(20))]), { opcode: CLOSE }), stuck: true }
    }
    case 7: {
      const long = Buffer.from([0x81, 0xff, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0])
      long.writeBigUInt64BE(choices.pick([2n ** 63n, 2n ** 53n, 2n ** 32n, 8_388_609n, 262_145n, 2n ** 64n - 1n]), 2)
      return { bytes: Buffer.concat([long, choices.bytes(30)]), stuck: true }
    }
    case 8:
      return { bytes: frame(payload, { final: false }), stuck: true }
    case 9:
      return { bytes: choices.bytes(choices.between(1, 64)), stuck: true }
    default:
      return { bytes: frame(Buffer.alloc(choices.pick([16_385, 262_145, 8_388_609]), 0x20)), stuck: false }
  }
}

/** Takes whole frames off the front of what was received; a masked payload stays masked. */
export function readFrames(bytes: Buffer): { frames: Received[]; rest: Buffer } {
  const frames: Received[] = []
  let at = 0
  while (bytes.length - at >= 2) {
    const first = bytes[at] as number
    const second = bytes[at + 1] as number
    const short = second & 0x7f
    const headLength = (short === 126 ? 4 : short === 127 ? 10 : 2) + (second >= 0x80 ? MASK.length : 0)
    if (bytes.length - at < headLength) break
    const length = short === 126 ? bytes.readUInt16BE(at + 2) : short === 127 ? Number(bytes.readBigUInt64BE(at + 2)) : short
    if (bytes.length - at < headLength + length) break
    frames.push({
      opcode: first & 0x0f,
      final: (first & 0x80) !== 0,
      masked: (second & 0x80) !== 0,
      payload: bytes.subarray(at + headLength, at + headLength + length),
    })
    at += headLength + length
  }
  return { frames, rest: bytes.subarray(at) }
}
