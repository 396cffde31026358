import { closeSync, openSync, readSync } from "node:fs"
import { naming } from "./named-file.ts"

const PIECE_BYTES = 65_536

/** The bytes of a file, of a device or of a pipe: at the most one more than `maxBytes`, which tells that there are too many. Throws what the system says. */
export function readBounded(path: string, maxBytes: number): Buffer {
  const file = openSync(path, "r")
  try {
    const pieces: Buffer[] = []
    for (let left = maxBytes + 1; left > 0;) {
      const piece = Buffer.alloc(Math.min(left, PIECE_BYTES))
      const bytes = naming(path, () => readSync(file, piece))
      if (bytes === 0) break
      pieces.push(piece.subarray(0, bytes))
      left -= bytes
    }
    return Buffer.concat(pieces)
  } finally {
    closeSync(file)
  }
}
