let run = ""
let drawn = 0

/** An idempotency key for each call: one random part for the process, then a count, which costs no entropy a call. */
export function drawKey(): string {
  // Loaded by the first call that needs one: a call that only reads costs a fifth less without.
  run ||= process.getBuiltinModule("node:crypto").randomUUID()
  drawn += 1
  return `${run}.${drawn}`
}
