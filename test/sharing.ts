/**
 * Folders whose tests share processes, one a worker: those import zod, the contract and the core, and start a browser, once and not once a file. They MUST
 * leave their process as they found it: test/tidy.test.ts looks for what would change it.
 */
export const SHARING = ["src/contract", "src/core", "src/dashboard", "src/hub", "src/surface", "src/ledger", "src/client", "src/cli/simulation", "test/page"]
