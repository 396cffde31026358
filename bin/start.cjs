// Apart from the launcher because an old Node cannot parse `import()`. Imported, not required: main.js awaits at its top.
"use strict"
void import("../dist/cli/main.js")
