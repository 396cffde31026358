import { SkeinError } from "../contract/errors.ts"

/** A hub's address. Throws `invalid_input` on what can be none, such as an address without `http://`. */
export function hubAddress(text: string): URL {
  const address = URL.parse(text)
  if (address !== null && (address.protocol === "http:" || address.protocol === "https:")) return address
  throw new SkeinError("invalid_input", `${JSON.stringify(text.slice(0, 200))} is no address of a hub`, "Write it as skein up prints it: http://127.0.0.1:7700")
}

/** Whether it is this machine's by its own form: a name that begins as such an address does, `127.example.org`, is not. */
export function isLoopbackUrl({ hostname }: URL): boolean {
  return hostname === "localhost" || hostname === "[::1]" || /^127(\.\d+){3}$/.test(hostname)
}
