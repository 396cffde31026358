import type { IncomingMessage, ServerResponse } from "node:http"

/** Node's own marks on a connection that its HTTP has: they have no name in its documentation, but every version since 18 has them. */
type Marked = {
  _httpMessage?: ServerResponse | null
  parser?: { incoming?: IncomingMessage | null } | null
}

/** The answer that is under way on a connection: until the last of it is with the operating system. */
export function answering(socket: object): ServerResponse | null {
  return (socket as Marked)._httpMessage ?? null
}

/** Whether what is being read of a connection belongs to a request that was answered, or begun to be, before it was whole. */
export function isAnswered(socket: object): boolean {
  const answer = answering(socket)
  if (answer !== null) return !answer.req.complete && answer.headersSent
  return (socket as Marked).parser?.incoming?.complete === false
}

/** Whether Node's HTTP reads the connection. */
export function isReadByNode(socket: object): boolean {
  return ((socket as Marked).parser ?? null) !== null
}
