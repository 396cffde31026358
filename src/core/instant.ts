/** A moment for texts that the ledger keeps or that go to any reader: UTC to the second, `2026-11-23T10:42:07Z`. A reader who has a clock shows it on that. */
export function instant(ms: number): string {
  return `${new Date(ms).toISOString().slice(0, 19)}Z`
}

/** A text of the hub's own with its moments as `show` shows them. What others wrote is left as they wrote it. */
export function withInstants(text: string, show: (ms: number) => string): string {
  return text.replaceAll(/\b\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ/g, (moment) => {
    const ms = Date.parse(moment)
    return Number.isNaN(ms) ? moment : show(ms)
  })
}
