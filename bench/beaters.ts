/** A process of supervisors: each holds the sessions of many agents, one task each, and beats for them, as the real client does. */
import { connect } from "../src/client/client.ts"
import { answer } from "./child.ts"
import { addTasks, patiently } from "./skein.ts"

const AT_ONCE = 200
const open: { close(): Promise<void> }[] = []

answer({
  async open({ url, credential, beating, supervisors }: { url: string; credential: string; beating: number; supervisors: number }) {
    const operator = await connect({ url, credential })
    open.push(operator)
    const names = Array.from({ length: beating }, (_, at) => `beating-${at}`)
    for (let at = 0; at < beating; at += AT_ONCE) await Promise.all(names.slice(at, at + AT_ONCE).map((name) => patiently(() => operator.agent.add({ name }))))
    await addTasks(
      operator,
      names.map((name) => `task-of-${name}`),
    )
    let everyMs = 0
    for (let at = 0; at < supervisors; at += 1) {
      const supervisor = await connect({ url, credential })
      open.push(supervisor)
      const own = names.filter((_, index) => index % supervisors === at)
      const sessions = await Promise.all(own.map((agent) => patiently(() => supervisor.session({ agent, runtime: "bench" }))))
      everyMs = sessions[0]?.heartbeatMs ?? everyMs
    }
    return { everyMs }
  },
  async stop() {
    for (const client of open) await client.close()
  },
})
