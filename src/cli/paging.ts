/** Every item of a list that comes in pages, `max` at the most. */
export async function paged<Item, Cursor>(
  read: (cursor: Cursor | null) => Promise<{ items: readonly Item[]; cursor: Cursor | null }>,
  max = Infinity,
): Promise<Item[]> {
  const found: Item[] = []
  let cursor: Cursor | null = null
  do {
    const page: { items: readonly Item[]; cursor: Cursor | null } = await read(cursor)
    found.push(...page.items)
    cursor = page.cursor
  } while (cursor !== null && found.length < max)
  return found.slice(0, max)
}
