/** What one client, or all of them, may take of the daemon, so that it goes on serving the others. */
export interface Bounds {
  /** Connections of all, and of one uid. */
  readonly connections: number;
  readonly connectionsOfUser: number;
  /** Of `connections`, kept for root. */
  readonly connectionsOfRoot: number;
  /** Requests of one uid: at once, and a second. */
  readonly burst: number;
  readonly rate: number;
  /** Bytes. */
  readonly head: number;
  readonly body: number;
  readonly policyBody: number;
  /** For a head, for a whole request, for an answer to be made, and for a connection on which nothing moves. */
  readonly headMs: number;
  readonly requestMs: number;
  readonly answerMs: number;
  readonly idleMs: number;
  /** Of a connection that waits for its next request. */
  readonly keepAliveMs: number;
  readonly requestsOfConnection: number;
  /** Bytes of messages that wait for the reader of a stream. */
  readonly streamBytes: number;
  /** How long the reader of a stream that was cut has to read why. */
  readonly cutMs: number;
}

/** 200 runs of one user at once take 200 streams and as many requests. */
export const BOUNDS: Bounds = {
  connections: 1024,
  connectionsOfUser: 512,
  connectionsOfRoot: 64,
  burst: 2000,
  rate: 500,
  head: 16 << 10,
  body: 1 << 20,
  policyBody: 8 << 20,
  headMs: 5000,
  requestMs: 30_000,
  answerMs: 45_000,
  idleMs: 60_000,
  keepAliveMs: 5000,
  requestsOfConnection: 1000,
  streamBytes: 1 << 20,
  cutMs: 5000,
};
