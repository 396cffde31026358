import type { Metadata } from "./message.ts"

/** What two messages share that report the same finding: kind, file, lines, and the text without regard to case and spacing. */
export function markOf(body: string, { eventType, file, line, endLine }: Metadata): string {
  const text = body.normalize("NFKC").toLowerCase().replaceAll(/\s+/g, " ").trim()
  return hash53(`${eventType}\0${file ?? ""}\0${line ?? ""}\0${endLine ?? line ?? ""}\0${text}`)
}

/** A hash of 53 bits that is the same everywhere (cyrb53, public domain): enough to tell findings of one thread apart, no defence against a forger. */
function hash53(text: string): string {
  let a = 0xdeadbeef
  let b = 0x41c6ce57
  for (let at = 0; at < text.length; at += 1) {
    const unit = text.charCodeAt(at)
    a = Math.imul(a ^ unit, 2_654_435_761)
    b = Math.imul(b ^ unit, 1_597_334_677)
  }
  a = Math.imul(a ^ (a >>> 16), 2_246_822_507) ^ Math.imul(b ^ (b >>> 13), 3_266_489_909)
  b = Math.imul(b ^ (b >>> 16), 2_246_822_507) ^ Math.imul(a ^ (a >>> 13), 3_266_489_909)
  return (4_294_967_296 * (2_097_151 & b) + (a >>> 0)).toString(16).padStart(14, "0")
}
