/** A moment for texts that the ledger keeps or that go to any reader: UTC to the second, `2026-11-23T10:42:07Z`. A reader who has a clock shows it on that. */
export function instant(ms: number): string {
  return `${new Date(ms).toISOString().slice(0, 19)}Z`
}
