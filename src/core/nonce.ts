import type { TriggerId } from "./trigger.ts"

/** How a nonce stands in a text that is handed to an agent. */
export function nonceText(id: TriggerId): string {
  return `[skein:${id}]`
}

/** The nonces that stand in a text, each once. */
export function noncesIn(text: string): TriggerId[] {
  return [...new Set([...text.matchAll(/\[skein:([ru][0-9a-zA-Z._-]{1,120})\]/g)].map((match) => match[1] as TriggerId))]
}
