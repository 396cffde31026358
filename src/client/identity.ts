import { SkeinError } from "../contract/errors.ts"
import { errorFrom, noHub, postJson } from "./post.ts"
import { readRegular } from "./regular-file.ts"

/** Where a client's identity comes from: one of these. A file may hold a credential or a token, and is read anew at each renewal. */
export type Identity = { credential: string } | { credentialFile: string } | { token: string | (() => string | Promise<string>) }

/** What is sent as bearer. `lastsMs`: how long, or null where only the hub knows. */
export type Bearer = { token: string; lastsMs: number | null }

const MINT_TIMEOUT_MS = 10_000

/** What can be a credential or token at all: it goes into a header, and `skein token` prints it. */
const BEARER = /^[\x21-\x7e]{1,8192}$/

/** The text that identifies the caller: a credential (`skc_…`) or a token. Throws `unauthenticated` where it can be neither. */
export async function readIdentity(identity: Identity): Promise<string> {
  const text = await givenText(identity)
  if (BEARER.test(text)) return text
  const file = "credentialFile" in identity ? { file: identity.credentialFile } : {}
  throw new SkeinError("unauthenticated", "what was given as credential can be none", "Name the file that `skein up` or `skein agent add` wrote.", file)
}

async function givenText(identity: Identity): Promise<string> {
  if ("credential" in identity) return identity.credential
  if ("token" in identity) return typeof identity.token === "string" ? identity.token : identity.token()
  try {
    return readRegular(identity.credentialFile).trim()
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException
    throw new SkeinError(
      "unauthenticated",
      `the credential file ${JSON.stringify(identity.credentialFile)} cannot be read: ${code ?? message}`,
      "Name the file that `skein up` or `skein agent add` wrote.",
      { file: identity.credentialFile },
    )
  }
}

/** A token for a WebSocket: minted from a credential, or as it was given. `timeoutMs`: how long the hub has for it; the signal gives it up. */
export async function bearerFor(
  url: URL,
  identity: Identity,
  workspace: string | undefined,
  { timeoutMs = MINT_TIMEOUT_MS, signal }: { timeoutMs?: number; signal?: AbortSignal } = {},
): Promise<Bearer> {
  const text = await readIdentity(identity)
  if (!text.startsWith("skc_")) return { token: text, lastsMs: lifetimeMs(text) }
  const { status, body } = await postJson(new URL("/token", url), workspace === undefined ? {} : { workspace }, {
    headers: { Authorization: `Bearer ${text}` },
    timeoutMs,
    signal,
  })
  if (status !== 200) throw errorFrom(body)
  const { token, lastsMs } = body as { token?: unknown; lastsMs?: unknown }
  if (typeof token !== "string" || !BEARER.test(token)) throw noHub(url, "no token")
  return { token, lastsMs: typeof lastsMs === "number" ? lastsMs : null }
}

/** What is left of a token by its own word (`exp`); null where it does not say. The hub alone decides. */
function lifetimeMs(token: string): number | null {
  try {
    const { exp } = JSON.parse(Buffer.from(token.split(".")[1] ?? "", "base64url").toString("utf8")) as { exp?: number }
    return typeof exp === "number" ? exp * 1_000 - Date.now() : null
  } catch {
    return null
  }
}
