import { existsSync } from "node:fs"
import { join } from "node:path"
import { type HttpCallOptions, httpClient } from "../client/http.ts"
import { hubAddress, isLoopbackUrl } from "../client/hub-address.ts"
import type { Identity } from "../client/identity.ts"
import { SkeinError } from "../contract/errors.ts"
import type { OperationName } from "../contract/names.ts"
import type { Input, Output } from "../contract/operations.ts"
import type { Entry } from "../core/entry.ts"
import type { Seq } from "../core/ids.ts"
import { type GlobalOptions, namedWorkspace } from "./context.ts"
import { closedTo, hubMissing, type Instance, readHubFile } from "./instance.ts"

/** How a verb speaks with the hub: calls over one kept HTTP connection; the stream of entries over a WebSocket, loaded when it is asked for. */
export type HubConnection = {
  readonly url: string
  readonly identity: Identity
  call<Name extends OperationName>(name: Name, input: Input<Name>, options?: HttpCallOptions): Promise<Output<Name>>
  /** Every entry from `from` on as it comes, without a gap, across restarts of the hub; ends with the signal, also where no hub answers. */
  events(options: { from: Seq; signal?: AbortSignal }): AsyncIterable<Entry>
  close(): Promise<void>
}

/** The hub that the call means: by --url, by SKEIN_URL (an agent's environment), else the one that runs for the instance. */
export function connectHub(options: GlobalOptions, instance: () => Instance): HubConnection {
  const chosen = options.repo !== undefined || options.global === true
  const address = options.url ?? (chosen ? undefined : process.env["SKEIN_URL"])
  const url = address ?? runningUrl(instance())
  return openConnection({ url, identity: identityOf(url, instance), workspace: namedWorkspace(options) })
}

export function openConnection({ url, identity, workspace }: { url: string; identity: Identity; workspace: string | undefined }): HubConnection {
  const where = workspace === undefined ? { url } : { url, workspace }
  const http = httpClient({ ...identity, ...where })
  const live: { close(): Promise<void> }[] = []
  return {
    url,
    identity,
    call: (name, input, given) => http.call(name, input, given),
    async *events(wanted) {
      const { connect } = await import("../client/client.ts")
      const { signal } = wanted
      const client = await connect({ ...identity, ...where, ...(signal === undefined ? {} : { signal }) }).catch((error: unknown) => {
        if (signal?.aborted !== true) throw error
      })
      if (client === undefined) return
      live.push(client)
      yield* client.events(wanted)
    },
    async close() {
      http.close()
      await Promise.all(live.map((client) => client.close()))
    },
  }
}

function runningUrl(instance: Instance): string {
  const file = readHubFile(instance)
  if (file === null) throw hubMissing(instance)
  return file.url
}

/** `SKEIN_TOKEN_FILE` first, since it is set for every agent; else the operator's own credential, which never leaves this machine. */
function identityOf(url: string, instance: () => Instance): Identity {
  const given = process.env["SKEIN_TOKEN_FILE"]
  if (given !== undefined && given !== "") return { credentialFile: given }
  const address = hubAddress(url)
  if (!isLoopbackUrl(address)) {
    throw new SkeinError(
      "unauthenticated",
      `the operator's credential is for hubs of this machine, and ${address.host} is none`,
      "Name the file with your credential for that hub: SKEIN_TOKEN_FILE=FILE skein …",
    )
  }
  const own = instance()
  const file = join(own.directory, "operator.credential")
  if (!existsSync(file)) {
    const closed = closedTo(own)
    if (closed !== null) throw closed
    throw new SkeinError(
      "unauthenticated",
      `there is no credential at ${file}`,
      "A hub makes the operator's when it starts: skein down, then skein up. An agent's environment names its own in SKEIN_TOKEN_FILE.",
    )
  }
  return { credentialFile: file }
}
