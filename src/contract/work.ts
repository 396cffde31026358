import * as z from "zod"
import { openNotice } from "./event.ts"
import { operation } from "./operation.ts"
import { taskId } from "./schema.ts"
import { unread } from "./thread.ts"

export const workOperations = {
  "work.wait": operation({
    least: "observer",
    summary: "Wait until there is something to do.",
    text: "Answers at once where the caller has unread messages (`unread`, by thread), events that wait for its acknowledgement (`notices`), or could claim a task (`ready`: the best that fit, at most 5), else as soon as that is so, at the latest after `waitMs` with all three empty. It claims nothing: whoever claims first has the task. A call that waits ends with the caller's connection.",
    errors: [],
    input: z.strictObject({ waitMs: z.int().min(0).max(150_000).default(30_000) }),
    output: z.object({ unread: z.array(unread), notices: z.array(openNotice), ready: z.array(taskId), waitedMs: z.int() }),
  }),
}
