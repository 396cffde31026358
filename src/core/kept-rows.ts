/** A record of a table by its key; null: it was not there. */
export type Row = [key: string, record: unknown]

/**
 * Rows of one table as a line that is kept or sent. Most records of a table are alike in most fields: in the place of each stands what differs from `like`, and
 * all of it where a 1 follows. Where nothing is to be gained a line is the table's name and its rows.
 */
type Line = [table: string, rows: readonly Row[]] | { table: string; like: object; rows: readonly (readonly [string, unknown, 1?])[] }

/** Whether what was kept under this version can be read: 3 is that of such lines, and in 2 they all have whole records. */
export function isReadable(version: unknown): boolean {
  return version === 2 || version === 3
}

/** What is to be kept of rows, in a fourth to a seventh of the bytes. Records MUST be such as JSON holds. */
export function lineOf(table: string, rows: readonly Row[]): Line {
  const like = rows.map(([, record]) => record).find(isFields)
  if (like === undefined || rows.length === 1) return [table, rows]
  const fields = fieldsOf(like)
  const texts = new Map<string, string>()
  const isLike = (field: string, value: unknown): boolean => {
    if (value === like[field]) return true
    if (value === null || typeof value !== "object") return false
    if (!texts.has(field)) texts.set(field, JSON.stringify(like[field]))
    return JSON.stringify(value) === texts.get(field)
  }
  const changes = rows.map(([key, record]): readonly [string, unknown, 1?] => {
    if (record === null) return [key, null]
    // Other fields, or in another order: the digest of a record counts them as they stand.
    if (!isFields(record) || !areSame(fields, fieldsOf(record))) return [key, record, 1]
    return [key, Object.fromEntries(fields.filter((field) => !isLike(field, record[field])).map((field) => [field, record[field]]))]
  })
  return { table, like, rows: changes }
}

/** The rows of a line that was parsed; null where it is none. Records that were alike have in common what they hold: they are never changed in place. */
export function rowsOf(line: unknown): { table: string; rows: Row[] } | null {
  if (Array.isArray(line)) return { table: line[0] as string, rows: line[1] as Row[] }
  const { table, like, rows } = (line ?? {}) as { table?: string; like?: object; rows: [string, object | null, 1?][] }
  if (table === undefined) return null
  return { table, rows: rows.map(([key, record, isWhole]) => [key, record === null || isWhole === 1 ? record : { ...like, ...record }]) }
}

type Fields = Readonly<Record<string, unknown>>

function isFields(record: unknown): record is Fields {
  return record !== null && typeof record === "object" && !Array.isArray(record)
}

/** What JSON leaves out is no field. */
function fieldsOf(record: Fields): string[] {
  return Object.keys(record).filter((field) => record[field] !== undefined)
}

function areSame(fields: readonly string[], others: readonly string[]): boolean {
  return fields.length === others.length && fields.every((field, at) => field === others[at])
}
