const [QUOTE, BACKSLASH, COMMA, COLON] = [0x22, 0x5c, 0x2c, 0x3a] as const
const [LIST, LIST_END, OBJECT, OBJECT_END] = [0x5b, 0x5d, 0x7b, 0x7d] as const

/**
 * Whether JSON nests at most `levels` deep and has at most `marks` brackets, commas and colons outside of its texts: they, and not its bytes, are what parsing it costs, and to count them takes a
 * hundredth of that. What is no JSON may pass: the parser tells.
 */
export function isWithin(bytes: Uint8Array, levels: number, marks: number): boolean {
  let level = 0
  let count = 0
  for (let at = 0; at < bytes.length; at += 1) {
    switch (bytes[at]) {
      case QUOTE:
        for (at += 1; at < bytes.length && bytes[at] !== QUOTE; at += 1) if (bytes[at] === BACKSLASH) at += 1
        break
      case LIST:
      case OBJECT:
        level += 1
        count += 1
        break
      case LIST_END:
      case OBJECT_END:
        level -= 1
        count += 1
        break
      case COMMA:
      case COLON:
        count += 1
        break
      default:
    }
    if (level > levels || count > marks) return false
  }
  return true
}
