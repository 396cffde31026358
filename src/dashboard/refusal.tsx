import type { JSX } from "preact"
import { Text } from "./text.tsx"

/** Why something was not done, and what to do about it; said at once, also to who does not see it. */
export function Refusal({ of: refusal }: { of: { message: string; remedy: string } | null }): JSX.Element {
  return (
    <div role="alert">
      {refusal === null ? null : (
        <p class="refusal">
          <strong>
            <Text of={refusal.message} max={1_000} />
          </strong>
          <br />
          <Text of={refusal.remedy} max={1_000} />
        </p>
      )}
    </div>
  )
}
