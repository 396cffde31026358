type Page<Item, Cursor> = { items: readonly Item[]; cursor: Cursor | null }

/** Every item of a list that comes in pages. */
export async function paged<Item, Cursor>(read: (cursor: Cursor | null) => Promise<Page<Item, Cursor>>): Promise<Item[]> {
  return (await pagedTo(Infinity, read)).items
}

/** The first `max` items of a list that comes in pages. `more`: that there are others. */
export async function pagedTo<Item, Cursor>(
  max: number,
  read: (cursor: Cursor | null) => Promise<Page<Item, Cursor>>,
): Promise<{ items: Item[]; more: boolean }> {
  const found: Item[] = []
  let cursor: Cursor | null = null
  do {
    const page: Page<Item, Cursor> = await read(cursor)
    found.push(...page.items)
    cursor = page.cursor
  } while (cursor !== null && found.length < max)
  return { items: found.slice(0, max), more: cursor !== null || found.length > max }
}
