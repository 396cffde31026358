/**
 * Folders whose tests share two processes, which import zod, the contract and the core once each, and not once a file. They MUST leave their process as they
 * found it: test/tidy.test.ts looks for what would change it.
 */
export const SHARING = ["src/contract", "src/core", "src/dashboard", "src/hub", "src/surface", "src/ledger", "src/client", "src/cli/simulation"]
