import { BaseSequencer, type TestSpecification } from "vitest/node"

/** They take long for what they say in few words: a browser, a search. The last of them was waited for by two workers without work. */
const LONG = ["test/page/bench.test.ts", "test/page/reference.test.ts", "src/core/interactions.test.ts"]

/** Before it is known how long a file takes, as in a fresh clone, vitest begins with those of the most letters. */
export class LongFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const rank = ({ project, moduleId }: TestSpecification): number =>
      project.name === "alone" ? 0 : LONG.some((file) => moduleId.endsWith(`/${file}`)) ? 1 : 2
    return (await super.sort(files)).toSorted((a, b) => rank(a) - rank(b))
  }
}
