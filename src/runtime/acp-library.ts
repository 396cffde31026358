import { client, methods, ndJsonStream, PROTOCOL_VERSION, RequestError } from "@agentclientprotocol/sdk"

/**
 * All that Skein takes of the ACP library, in one module: the build puts it into the program, so that the published package needs none of the
 * library's own. Loaded with the first agent that speaks the protocol.
 */
export const acp = { client, methods, ndJsonStream, PROTOCOL_VERSION, RequestError }
