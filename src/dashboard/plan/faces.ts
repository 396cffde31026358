import type { TaskSpec, Task } from "../../core/task.ts"
import { type TaskState, taskState } from "../../core/view.ts"
import type { Workspace } from "../../core/workspace.ts"
import { shapeOf } from "../text.tsx"
import { clipped, visible } from "../visible.ts"
import type { TaskGraph } from "./graph.ts"
import type { NodeFace } from "./scenery.ts"

/** Characters of a line that fit into a box. */
const LINE = 25

/** What is known of one task, for its row and its box. The same object again while nothing of it has changed. */
export type Face = NodeFace & {
  readonly id: string
  readonly title: string
  readonly owner: string | null
  readonly state: TaskState
  readonly isFiller: boolean
}

type Made = { spec: TaskSpec; face: Face }

const made = new Map<string, Made>()

let last: readonly Face[] = []

/** How each task of a graph stands. The same list again while that is the same. */
export function facesOf(state: Workspace, graph: TaskGraph): readonly Face[] {
  // A page that looked at many plans need not keep them all.
  if (made.size > 4 * graph.ids.length + 10_000) made.clear()
  const faces = graph.ids.map((id) => {
    const task = state.tasks.get(id) as Task
    const spec = state.specs.get(id) as TaskSpec
    const now = taskState(state, task)
    const before = made.get(id)
    if (before !== undefined && before.spec === spec && before.face.state === now && before.face.owner === task.owner) return before.face
    const face = faceOf(task, spec, now)
    made.set(id, { spec, face })
    return face
  })
  if (faces.length !== last.length || faces.some((face, at) => face !== last[at])) last = faces
  return last
}

function faceOf({ id, plan, owner }: Task, { title, filler }: TaskSpec, state: TaskState): Face {
  const name = plan === null ? id : id.slice(plan.length + 1)
  const who = owner === null || state === "completed" ? title : owner
  return { id, title, owner, state, isFiller: filler, shape: shapeOf(state), name: line(name), words: line(`${state.replaceAll("_", " ")} · ${who}`) }
}

function line(text: string): string {
  const seen = visible(text)
  const start = clipped(seen, LINE)
  return start === null ? seen : `${start}…`
}
