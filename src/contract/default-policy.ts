/**
 * The policy of a workspace in which nobody set one: what the roles may, and nothing else. The hub does not evaluate it, since it decides by the roles
 * anyway; a test holds that both agree for every operation and role.
 */
export const DEFAULT_POLICY = `// Skein's own policy: each role may do what it always could. Add rules below: a rule that forbids wins over all that permit.
// "principal in Role::X": whoever may do what an X may. "principal.role == X": exactly that role.

@id("observers-read")
permit (principal in Role::"observer", action in Action::"least/observer", resource);

@id("workers-work")
permit (principal in Role::"worker", action in Action::"least/worker", resource);

@id("supervisors-run-agents")
permit (principal in Role::"supervisor", action in Action::"least/supervisor", resource);

@id("orchestrators-direct")
permit (principal in Role::"orchestrator", action in Action::"least/orchestrator", resource);

@id("operators-decide")
permit (principal in Role::"operator", action in Action::"least/operator", resource);
`
