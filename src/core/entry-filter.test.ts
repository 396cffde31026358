import { expect, test } from "vitest"
import type { Entry } from "./entry.ts"
import { tasksOf } from "./entry-filter.ts"

const about = (type: string, data: object): string[] =>
  tasksOf({ seq: 1, atMs: 0, type, v: 1, actor: { agent: "ada", session: null, role: "worker" }, commandId: null, data } as unknown as Entry)

test("an entry is about the task that it names, however it does: also by the task's thread", () => {
  expect(about("task.claimed", { id: "p.1/a" })).toEqual(["p.1/a"])
  expect(about("usage.reported", { task: "p.1/a" })).toEqual(["p.1/a"])
  expect(about("message.posted", { thread: "task/p.1/a" })).toEqual(["p.1/a"])
  expect(about("message.posted", { thread: "task" })).toEqual([])
  expect(about("thread.created", { id: "p.1/a" })).toEqual([])
})
