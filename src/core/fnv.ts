/** FNV-1a over a text's UTF-16 units, 32 bits with a sign, from where another text left off. */
export function fnv1a(text: string, from = 0x811c9dc5 | 0): number {
  let hash = from
  for (let at = 0; at < text.length; at += 1) hash = Math.imul(hash ^ text.charCodeAt(at), 0x01000193)
  return hash
}
