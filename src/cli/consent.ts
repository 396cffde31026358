import { createInterface } from "node:readline"

/** What a question is asked through: a person's terminal. */
type Asked = { input: NodeJS.ReadableStream; output: NodeJS.WritableStream }

/** Whether the answer is yes: `y` or `yes` with Enter, and nothing else. Ctrl-C, Ctrl-D and a terminal that goes away are answers too. */
export function saysYes(question: string, { input, output }: Asked): Promise<boolean> {
  return new Promise((settle) => {
    const answered = (given: string): void => {
      input.off("end", gone)
      settle(/^y(es)?$/i.test(given.trim()))
      lines.close()
    }
    const gone = (): void => answered("")
    // First of all who listen: what stands there when the terminal goes away would be given as a line.
    input.once("end", gone)
    const lines = createInterface({ input, output })
    lines.once("line", answered).once("close", gone)
    lines.setPrompt(`\n${question} [y/N] `)
    lines.prompt()
  })
}
