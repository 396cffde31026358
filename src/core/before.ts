/** What records were before they changed, by table and key; null: they were not there. */
export type Before = Map<string, Map<string, unknown>>

/** Those of one table. */
export function beforeIn(before: Before, table: string): Map<string, unknown> {
  let records = before.get(table)
  if (records === undefined) before.set(table, (records = new Map<string, unknown>()))
  return records
}

/** Takes in what an earlier stretch changed: of a record that changed again the earliest counts. */
export function takeEarlier(before: Before, table: string, rows: Iterable<readonly [string, unknown]>): void {
  const records = beforeIn(before, table)
  for (const [key, record] of rows) records.set(key, record)
}
