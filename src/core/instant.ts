/** A moment for texts that the ledger keeps or that go to any reader: UTC to the second, `2026-11-23T10:42:07Z`. A reader who has a clock shows it on that. */
export function instant(ms: number): string {
  return `${new Date(ms).toISOString().slice(0, 19)}Z`
}

/** What is said in a voice: what the hub's own rules say with its moments as `show` shows them, what others wrote as they wrote it. */
export function withInstants(text: string, voice: string | undefined, show: (ms: number) => string): string {
  if (voice !== "hub") return text
  return text.replaceAll(/\b\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ/g, (moment) => {
    const ms = Date.parse(moment)
    return Number.isNaN(ms) ? moment : show(ms)
  })
}

/** A refusal's text with the moment until which it holds (`retryAtMs` of its details) as `show` shows it. Others' words may stand in it: they are left as they are. */
export function withRetryAt(text: string, { retryAtMs }: Readonly<Record<string, unknown>>, show: (ms: number) => string): string {
  return typeof retryAtMs === "number" && Math.abs(retryAtMs) <= 8.64e15 ? text.replaceAll(instant(retryAtMs), show(retryAtMs)) : text
}
