/** The sandbox could not be set up, or broke. The message says what, to what, and what to do. */
export class SandboxError extends Error {
  override readonly name = 'SandboxError';
}
